/**
 * Types for authors of signalbox rules: completion and checks in any editor that speaks TypeScript.
 *
 * Put a `jsconfig.json` beside your rules (see examples/rules/jsconfig.json) that includes this file, and say what each
 * function returns:
 *
 *     /** @returns {ExperimentRule} *\/
 *     function defineMyTestRule() { return { abTestId: 12345, ... }; }
 *
 * A rule file runs once, when it is checked or published, and returns data. There is no `Date`, no `Math.random`, no
 * `Intl`, no `eval`, no typed array and no I/O: the same files always give the same rules. `import` takes what another
 * rule file exports (`import {...} from "./common.js"`); all files together make one rule set. Guide: docs/rules.md.
 */

/** One business use case of the platform. Written as `Objectives.Name`. */
interface Objective {
  readonly __objective: unique symbol;
}

/**
 * Every name stands for the Objective of that name: `Objectives.ContinueWatchingRanking`. Some rule of the rule set has to
 * declare it ({@link ObjectiveRule}); a name that none declares is an error when the rules are checked.
 */
declare const Objectives: { readonly [name: string]: Objective };

/** Names that several teams use. Each has its own name as value; any other text can be used in their place. */
declare const constants: {
  readonly TITLE_INPUT_TYPE: "TITLE_INPUT_TYPE";
  readonly FLIGHT_INPUT_TYPE: "FLIGHT_INPUT_TYPE";
  readonly USER_INPUT_TYPE: "USER_INPUT_TYPE";
  readonly TEXT_INPUT_TYPE: "TEXT_INPUT_TYPE";
  readonly IMAGE_INPUT_TYPE: "IMAGE_INPUT_TYPE";
  readonly TABULAR_INPUT_TYPE: "TABULAR_INPUT_TYPE";
};

/** A model, or one version of it. */
interface ModelRef {
  /** 1 to 200 letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  /** The same letters, or a whole number. Left out: the version that the model's host serves by default. */
  readonly version?: string | number;
}

/**
 * Given to the model with every request, as text. Names have 1 to 200 letters, digits, `.`, `_` and `-`, and do not begin
 * with `sb_`. All that is sent along with a request has to fit into 4 KiB.
 */
interface Parameters {
  readonly [name: string]: string | number | boolean;
}

/** One Objective, or several. */
type TargetObjectives = Objective | readonly Objective[];

/** Declares an Objective and the model that answers when no other rule chooses one. Once for each Objective. */
interface ObjectiveRule {
  readonly objective: Objective;
  readonly defaultModel: ModelRef;
  /** Tried in this order when the chosen model cannot be reached. At most 8. */
  readonly fallbackModels?: readonly ModelRef[];
  /** What the models of this Objective take. Has to be the same in every rule for the Objective. */
  readonly modelInputType?: string;
  /** For example `SCORER` or `RANKER`. */
  readonly modelType?: string;
  readonly parameters?: Parameters;
}

/** An A/B test: users are split over cells, and each cell may have its model and its parameters. */
interface ExperimentRule {
  /** Unique in the rule set: a whole number, or 1 to 200 letters, digits, `.`, `_` and `-`. */
  readonly abTestId: number | string;
  readonly targetObjectives: TargetObjectives;
  /**
   * The cells and their models. Users are split in the order in which the keys stand here (whole numbers first, from
   * small to large). May be left out where `cellParameters` names the cells.
   */
  readonly cellToModel?: { readonly [cell: string]: ModelRef };
  /** The share of each cell, from 0 to 1; together exactly 1. Left out: all cells have the same share. */
  readonly cellWeights?: { readonly [cell: string]: number };
  /**
   * A cell that stands here and not in `cellToModel` leaves the model to the Objective's traffic shift and default model;
   * its parameters go with whichever answers.
   */
  readonly cellParameters?: { readonly [cell: string]: Parameters };
  /** How many of all users take part: more than 0, to 100; at most four decimals. Left out: 100. */
  readonly allocationPercentage?: number;
  /** Who is in which cell depends on this and on the user alone. Left out: `abTestId`. */
  readonly seed?: number | string;
  /**
   * Of several experiments on one Objective, the one with the lowest number is asked first. Left out: 0. The first that a
   * user takes part in is the only one for this user: later ones give neither a model nor parameters.
   */
  readonly priority?: number;
  readonly modelInputType?: string;
  readonly modelType?: string;
}

/**
 * A canary, a gradual rollout: a percentage of the users for whom no experiment chooses a model get another one than the
 * default. Raising the percentage never moves anybody out of the new model, lowering it never moves anybody in. One for each Objective.
 */
interface TrafficShiftRule {
  /** Unique in the rule set: 1 to 200 letters, digits, `.`, `_` and `-`, or a whole number. */
  readonly trafficShiftId: string | number;
  readonly targetObjectives: TargetObjectives;
  /** Has to be the Objective's default model, which is also what is meant when it is left out. */
  readonly fromModel?: ModelRef;
  readonly toModel: ModelRef;
  /** From 0 to 100, at most four decimals. */
  readonly percentage: number;
  /** Who is in depends on this and on the user alone. Left out: `trafficShiftId`. */
  readonly seed?: number | string;
}

/** Fallback models in a rule of their own, for Objectives whose rule names none. */
interface FallbackRule {
  readonly targetObjectives: TargetObjectives;
  /** Tried in this order when the chosen model cannot be reached. At most 8. */
  readonly fallbackModels: readonly ModelRef[];
}

/** What a `define...Rule` function returns. */
type Rule = ObjectiveRule | ExperimentRule | TrafficShiftRule | FallbackRule;

/** What stands after `export default`, and what a function may return in place of one rule. */
type Rules = readonly (Rule | (() => Rule))[];
