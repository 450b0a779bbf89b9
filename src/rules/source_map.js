// Finds where the rules of a file, and the parts of each, stand in its text. Runs in a global object of its own, on the
// syntax tree alone; nothing of the file is executed. Positions are [line from 1, code points before].
((source, target) => {
  const DEPTH_MAX = 16;
  const NODES_MAX = 400000;
  let nodes = 0;
  const tree = Reflect.parse(source, { loc: true, target });
  const at = (node) => [node.loc.start.line, node.loc.start.column];
  const inner = (outer) => Object.setPrototypeOf({}, outer);

  // What the names that a list of statements declares stand for.
  const declare = (statements, names) => {
    for (let statement of statements) {
      if (statement.type === "ExportDeclaration" && statement.declaration) statement = statement.declaration;
      if (statement.type === "FunctionDeclaration" && statement.id) names[statement.id.name] = statement;
      if (statement.type !== "VariableDeclaration") continue;
      for (const one of statement.declarations) {
        if (one.id.type === "Identifier" && one.init) names[one.id.name] = one.init;
      }
    }
    return names;
  };

  const isFunction = (node) => /Function(Declaration|Expression)$/.test(node.type);

  // The expression that a function returns, if it can be told by looking.
  const result = (node, names) => {
    if (node.body.type !== "BlockStatement") return describe(node.body, names, 0);
    const local = declare(node.body.body, inner(names));
    const last = node.body.body.find((statement) => statement.type === "ReturnStatement");
    return last && last.argument ? describe(last.argument, local, 0) : {};
  };

  const describe = (node, names, depth) => {
    if (depth > DEPTH_MAX || ++nodes > NODES_MAX) return { at: at(node) };
    if (node.type === "Identifier" && names[node.name]) {
      return { ...describe(names[node.name], names, depth + 1), at: at(node) };
    }
    if (isFunction(node)) return { ...result(node, names), at: at(node) };
    if (node.type === "ArrayExpression") {
      const items = [];
      let last = null; // what stands behind something of unknown length
      for (const item of node.elements) {
        if (!item || item.type !== "SpreadExpression") {
          (last ?? items).push(item ? describe(item, names, depth + 1) : {});
          continue;
        }
        const spread = describe(item.expression, names, depth + 1);
        if (spread.items && !spread.last) for (const inner of spread.items) (last ?? items).push(inner);
        else last = [];
      }
      return { at: at(node), items, last: last ?? undefined };
    }
    if (node.type !== "ObjectExpression") return { at: at(node) };
    const keys = {};
    for (const property of node.properties) {
      const key = property.key;
      if (!key || (key.type !== "Identifier" && key.type !== "Literal")) continue;
      keys["." + (key.type === "Identifier" ? key.name : key.value)] = {
        ...describe(property.value, names, depth + 1),
        at: at(key),
      };
    }
    return { at: at(node), keys };
  };

  const names = declare(tree.body, inner(null));
  const functions = [];
  const others = [];
  let exported = null;
  const collect = (name, place, node) => {
    if (/^define[A-Za-z0-9_$]*Rules?$/.test(name)) functions.push({ name, at: at(place), node: describe(node, names, 0) });
    else if (isFunction(node)) others.push(name);
  };
  for (let statement of tree.body) {
    if (statement.type === "ExportDeclaration") {
      if (statement.isDefault) exported = { at: at(statement), node: describe(statement.declaration, names, 0) };
      if (statement.isDefault || !statement.declaration) continue;
      statement = statement.declaration;
    }
    if (statement.type === "FunctionDeclaration") {
      collect(statement.id.name, statement, statement);
    } else if (statement.type === "VariableDeclaration") {
      for (const one of statement.declarations) {
        if (one.id.type === "Identifier" && one.init && isFunction(one.init)) collect(one.id.name, one, one.init);
      }
    }
  }
  return JSON.stringify({ functions, others, exported });
})
