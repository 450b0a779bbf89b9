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

/** An {@link EnsembleRule} in the place of a model: several models answer together. */
interface EnsembleRef {
  readonly ensemble: RuleId;
}

/** What another rule of the rule set has as its id: `12345` and `"12345"` are the same. */
type RuleId = string | number;

/** One model, or an ensemble in its place. */
type ModelOrEnsemble = ModelRef | EnsembleRef;

/**
 * Given to the model with every request, as text. Names have 1 to 200 letters, digits, `.`, `_` and `-`, and do not begin
 * with `sb_`. All that is sent along with a request has to fit into 4 KiB.
 */
interface Parameters {
  readonly [name: string]: string | number | boolean;
}

/** One Objective, or several. */
type TargetObjectives = Objective | readonly Objective[];

/** A time with its zone (RFC 3339): `"2026-01-31T18:00:00Z"`, `"2026-01-31T18:00:00+01:00"`. */
type Moment = string;

/** A whole number and its unit: `"90s"`, `"30m"`, `"2h"`, `"1d"`. */
type Duration = `${number}${"s" | "m" | "h" | "d"}`;

/**
 * What a rule asks of a request, made with {@link when}. True or false for every request: a test of a field that the request
 * does not have is false, and so its negation is true. At most 1,000 tests and 10,000 values, nested 16 deep.
 */
interface Condition {
  /** True when this one is true and all others are. */
  and(...others: readonly Condition[]): Condition;
  /** True when this one is true or any of the others is. */
  or(...others: readonly Condition[]): Condition;
  /** True when this one is false. */
  not(): Condition;
  /** The data that it is, for messages of your own. */
  toString(): string;
  readonly __condition: unique symbol;
}

/** One value or more, each an argument of its own or all in an array. */
type Values<T> = readonly T[] | readonly [readonly T[]];

/** Tests of any field's text. */
interface TextTests {
  /** Begins with one of these. */
  startsWith(...prefixes: Values<string>): Condition;
  /**
   * A regular expression of RE2, found anywhere in the value; `^` and `$` anchor it. As a literal it may have the flags `i`,
   * `m` and `s`. Look-ahead, look-behind and back references are not possible. At most 1,000 bytes.
   */
  matches(pattern: RegExp | string): Condition;
  /** The request has the field, with a value that is not empty. */
  exists(): Condition;
}

/** Tests whether a field is equal to something. */
interface EqualityTests<T> {
  is(value: T): Condition;
  /** Also true where the request does not have the field. */
  isNot(value: T): Condition;
  /** Is one of these: `in("US", "CA")` or `in(["US", "CA"])`. */
  in(...values: Values<T>): Condition;
  /** Also true where the request does not have the field. */
  notIn(...values: Values<T>): Condition;
}

/** Tests of where a field lies in an order. */
interface RangeTests<T> {
  /** `>=` */
  atLeast(value: T): Condition;
  /** `>` */
  above(value: T): Condition;
  /** `<=` */
  atMost(value: T): Condition;
  /** `<` */
  below(value: T): Condition;
  /** From `low` to `high`, both included. */
  between(low: T, high: T): Condition;
}

type TextField = EqualityTests<string> & TextTests;
type TrafficTypeField = EqualityTests<"live" | "synthetic" | "replay" | "shadow"> & TextTests;

/** Semantic versions, as text: `"4.2"` is `"4.2.0"`, and `"4.2.0-beta.1"` comes before it. */
type VersionField = EqualityTests<string> & RangeTests<string> & TextTests;

/** Text; a number is compared as one (`"18.0"` is 18), `true` and `false` as their names. */
type AttributeField = EqualityTests<string | number | boolean> & RangeTests<number> & TextTests;

/** The segments that the user is in; `startsWith` and `matches` hold when they hold for one of them. */
interface SegmentsField extends TextTests {
  has(segment: string): Condition;
  hasAny(...segments: Values<string>): Condition;
  hasAll(...segments: Values<string>): Condition;
}

/** Every week on these days, from one time of the day, before another; `to` at or before `from` is on the next day. */
interface WeeklyWindow {
  /** The days on which it begins. Left out: every day. */
  readonly days?: readonly ("mon" | "tue" | "wed" | "thu" | "fri" | "sat" | "sun")[];
  /** `"18:00"` */
  readonly from: string;
  /** `"23:00"`; `"24:00"` is the end of the day. */
  readonly to: string;
  /** What local time is ahead of UTC: `"+01:00"`. Left out: UTC. */
  readonly utcOffset?: string;
}

interface TimeTests {
  from(start: Moment): Condition;
  /** Before `end`. */
  until(end: Moment): Condition;
  /** From `start`, before `end`. */
  between(start: Moment, end: Moment): Condition;
  weekly(window: WeeklyWindow): Condition;
}

/**
 * Conditions, as they read: `when.country.in("US", "CA").and(when.device.is("tv"))`. They are data, which is evaluated for every
 * request; no JavaScript runs then.
 */
declare const when: {
  readonly user: TextField;
  readonly country: TextField;
  readonly locale: TextField;
  readonly device: TextField;
  readonly surface: TextField;
  readonly tenant: TextField;
  readonly trafficType: TrafficTypeField;
  readonly appVersion: VersionField;
  readonly segments: SegmentsField;
  /** A free attribute of the request context. */
  attribute(name: string): AttributeField;
  /** The time of the request. */
  readonly time: TimeTests;
  /** True when all are. */
  all(...conditions: readonly Condition[]): Condition;
  /** True when one is. */
  any(...conditions: readonly Condition[]): Condition;
  not(condition: Condition): Condition;
};

/**
 * Who counts as one in an experiment: a field of the request context (`user`, `country`, `locale`, `device`, `surface`, `tenant`,
 * `trafficType`, `appVersion`; also `traffic_type`, `app_version`) or the name of a free attribute (`"account"`). Of several the first that the request has.
 * A request with none of them takes no part. Left out: `user`.
 */
type Unit = string | readonly string[];

/** One declared response, given when no model can be reached. At most 64 KiB. */
type StaticAnswer =
  | {
      /** Tensors of an Open Inference response. */
      readonly outputs: readonly OutputTensor[];
    }
  | {
      /** One serialised response message of the Objective's method. */
      readonly base64: string;
    };

interface OutputTensor {
  readonly name: string;
  readonly datatype:
    | "BOOL"
    | "INT8"
    | "INT16"
    | "INT32"
    | "INT64"
    | "UINT8"
    | "UINT16"
    | "UINT32"
    | "UINT64"
    | "FP32"
    | "FP64"
    | "BYTES";
  readonly shape: readonly number[];
  /** All items, flat, in row-major order. */
  readonly data: readonly (number | boolean | string)[];
}

/** Declares an Objective and the model that answers when no other rule chooses one. Once for each Objective. */
interface ObjectiveRule {
  readonly objective: Objective;
  readonly defaultModel: ModelOrEnsemble;
  /** Tried in this order when the chosen model cannot be reached. At most 8. Left out: the policy's. */
  readonly fallbackModels?: readonly ModelRef[];
  /** The end of the fallback chain. Left out: the policy's; without one the request fails. */
  readonly staticAnswer?: StaticAnswer;
  /** Name of a {@link PolicyRule} without `when`: limits, fallback models, static answer. */
  readonly policy?: RuleId;
  /** What the models of this Objective take. Has to be the same in every rule for the Objective. */
  readonly modelInputType?: string;
  /** For example `SCORER` or `RANKER`. */
  readonly modelType?: string;
  readonly parameters?: Parameters;
}

/**
 * Where a condition holds: another model, another policy, further parameters; at least one of the three. Asked before all
 * experiments. Of all context rules that hold, the first with a model chooses the model, the first with a policy the policy, and
 * of two that set one parameter the first counts.
 */
interface ContextRule {
  /** Unique in the rule set: 1 to 200 letters, digits, `.`, `_` and `-`, or a whole number. */
  readonly contextRuleId: string | number;
  readonly targetObjectives: TargetObjectives;
  /** Left out: what the policy's `when` says. */
  readonly when?: Condition;
  readonly model?: ModelOrEnsemble;
  /** Name of a {@link PolicyRule}; its `when` has to hold as well. */
  readonly policy?: RuleId;
  readonly parameters?: Parameters;
}

/** An A/B test: users are split over cells, and each cell may have its model and its parameters. */
interface ExperimentRule {
  /** Unique in the rule set: a whole number, or 1 to 200 letters, digits, `.`, `_` and `-`. */
  readonly abTestId: number | string;
  readonly targetObjectives: TargetObjectives;
  /**
   * The cells and their models. Users are split in the order in which the keys stand here (whole numbers first, from
   * small to large). May be left out where `cellParameters` names the cells. At most 1,000.
   */
  readonly cellToModel?: { readonly [cell: string]: ModelOrEnsemble };
  /** The share of each cell, from 0 to 1; together exactly 1. Left out: all cells have the same share. */
  readonly cellWeights?: { readonly [cell: string]: number };
  /**
   * A cell that stands here and not in `cellToModel` leaves the model to the Objective's traffic shift and default model;
   * its parameters go with whichever answers.
   */
  readonly cellParameters?: { readonly [cell: string]: Parameters };
  /** How many of all units take part: more than 0, to 100; at most four decimals. Left out: 100. */
  readonly allocationPercentage?: number;
  /** Who is in which cell depends on this and on the unit alone. Left out: `abTestId`. */
  readonly seed?: number | string;
  /**
   * Of several experiments on one Objective, the one with the lowest number is asked first. Left out: 0. Of those with a model in
   * any cell the first that takes the unit is the only one.
   */
  readonly priority?: number;
  readonly modelInputType?: string;
  readonly modelType?: string;
  /** Who may take part at all. Left out: everybody. */
  readonly when?: Condition;
  /** Left out: `user`, or the layer's. */
  readonly unit?: Unit;
  /**
   * Name of a {@link LayerRule}. At most one experiment of each layer applies to a request; those that name no layer share one.
   */
  readonly layer?: RuleId;
  /** Where in the layer: from, to, in percent. Ranges of one layer do not overlap. Left out: all of it. */
  readonly layerRange?: readonly [from: number, to: number];
  /** It runs from here. Left out: as soon as it is published. */
  readonly start?: Moment;
  /** It runs before this. Left out: until it is removed. */
  readonly end?: Moment;
  /**
   * GrowthBook's hash of this version, with their buckets: the same seed and unit get the same variation as in their SDKs.
   * `allocationPercentage` is then their coverage. Left out: signalbox's own.
   */
  readonly hashVersion?: 1 | 2;
  /**
   * Testers: a unit and its cell. They take part whatever condition, time, holdout, layer and allocation say. At most 10,000.
   */
  readonly forcedCells?: { readonly [unit: string]: string | number };
  /** Names of {@link PolicyRule}s, of which only the `when` is taken: who may take part. */
  readonly policy?: RuleId | readonly RuleId[];
  /** An experimentation platform allocates, not the hash. */
  readonly remoteAllocation?: RemoteAllocation;
}

/** The cell is asked for once for each unit and `ttlSeconds`. */
interface RemoteAllocation {
  /** The name of a platform that the operators configured. */
  readonly platform: string;
  /** What the platform knows the experiment as. Left out: `abTestId`. */
  readonly flag?: string;
  /** 1 to 86,400. Left out: 300. */
  readonly ttlSeconds?: number;
  /** How long a request waits for it: 1 to 10,000. Left out: 20. */
  readonly deadlineMs?: number;
  /**
   * Where the platform gives no cell in time, or one that does not exist: as the hash says, no part, or a cell. Left out: `"hash"`.
   */
  readonly fallback?: "hash" | "none" | { readonly cell: string | number };
}

/** A set of mutually exclusive experiments that share one hash space. Layers are independent of one another. */
interface LayerRule {
  /** Unique in the rule set. */
  readonly layerId: string | number;
  /** All experiments of the layer have it. Left out: `user`. */
  readonly unit?: Unit;
  /** Left out: `layerId`. */
  readonly seed?: number | string;
  /** 1: the layer is a GrowthBook namespace of the name `seed`. */
  readonly hashVersion?: 1;
}

/** A share of the units that take part in no experiment of some layers, or in none at all. */
interface HoldoutRule {
  /** Unique in the rule set. */
  readonly holdoutId: string | number;
  /** From 0 to 100, at most four decimals. */
  readonly percentage: number;
  readonly unit?: Unit;
  /** Left out: `holdoutId`. */
  readonly seed?: number | string;
  /** Names of {@link LayerRule}s. Left out: all experiments of the rule set, also those in no layer. */
  readonly layers?: readonly RuleId[];
  /** Left out: everywhere. */
  readonly when?: Condition;
}

/**
 * A canary, a gradual rollout: a percentage of the users for whom no experiment chooses a model get another one than the
 * default. Raising the percentage never moves anybody out of the new model, lowering it never moves anybody in. One without
 * `when` for each Objective.
 */
interface TrafficShift {
  /** Unique in the rule set: 1 to 200 letters, digits, `.`, `_` and `-`, or a whole number. */
  readonly trafficShiftId: string | number;
  readonly targetObjectives: TargetObjectives;
  /** Has to be the Objective's default model, which is also what is meant when it is left out. */
  readonly fromModel?: ModelOrEnsemble;
  readonly toModel: ModelOrEnsemble;
  /** Who is in depends on this and on the unit alone. Left out: `trafficShiftId`. */
  readonly seed?: number | string;
  /** Left out: `user`. */
  readonly unit?: Unit;
  /** Only these requests. Left out: all. */
  readonly when?: Condition;
  /** Names of {@link PolicyRule}s, of which only the `when` is taken. */
  readonly policy?: RuleId | readonly RuleId[];
}

/** By a percentage, or by a schedule. */
type TrafficShiftRule = TrafficShift &
  (
    | {
        /** From 0 to 100, at most four decimals. */
        readonly percentage: number;
        readonly schedule?: undefined;
      }
    | {
        readonly schedule: RampSchedule;
        readonly percentage?: undefined;
      }
  );

/** 0 before `start`, then each step's percentage for as long as it is held; the last one for ever. */
interface RampSchedule {
  readonly start: Moment;
  /** 1 to 100; the last one has no `hold`. */
  readonly steps: readonly { readonly percentage: number; readonly hold?: Duration }[];
}

/** A copy of live traffic to a model whose answer is recorded and never returned. At most 8 for each Objective. */
interface ShadowRule {
  /** Unique in the rule set. */
  readonly shadowId: string | number;
  readonly targetObjectives: TargetObjectives;
  readonly model: ModelRef;
  /** How many of the requests (not of the users): a percentage from 0 to 100, at most four decimals. */
  readonly sampleRate: number;
  /** Left out: everywhere. */
  readonly when?: Condition;
  /**
   * How its answer is compared with the live one. `"exact"`; every number within `tolerance + relative * |live|`; or Spearman's
   * rank correlation of the first tensor, from -1 to 1. Left out: not at all.
   */
  readonly compare?:
    | "exact"
    | { readonly tolerance?: number; readonly relative?: number }
    | { readonly rankCorrelation: number };
}

/** Several models that answer together. It stands in the place of a model as `{ensemble: "..."}`. */
interface EnsembleRule {
  /** Unique in the rule set. */
  readonly ensembleId: string | number;
  /**
   * `first`: all are asked, the first answer is taken. `mean`, `weighted`: the mean of Open Inference tensors of equal shape.
   * `all`: every answer is returned, labelled with its model.
   */
  readonly mode: "first" | "mean" | "weighted" | "all";
  /** 2 to 16. With `weighted` each has a weight; together exactly 1. */
  readonly members: readonly (ModelRef & { readonly weight?: number })[];
  /** So many have to answer, else the fallbacks are tried. Left out: all; with `first` one is enough. */
  readonly minimumMembers?: number;
}

/** Named callers may choose the model, or their cell, in the `sb-override` header. Each such request is logged with the id. */
interface OverrideRule {
  /** Unique in the rule set. */
  readonly overrideId: string | number;
  readonly targetObjectives: TargetObjectives;
  /** At least one in all. */
  readonly callers: { readonly tenants?: readonly string[]; readonly users?: readonly string[] };
  /** What they may choose. Left out: every model that a rule of the Objective names. */
  readonly models?: readonly ModelOrEnsemble[];
}

/** A named piece that other rules refer to. Each takes what it has a use for. */
interface PolicyRule {
  /** Unique in the rule set. */
  readonly policyId: string | number;
  /**
   * Policies that say what this one does not: the first named goes before the next, each limit by itself. Their `when` and this
   * one's all have to hold.
   */
  readonly extends?: RuleId | readonly RuleId[];
  readonly limits?: Limits;
  /** Milliseconds, 1 to 3,600,000. */
  readonly deadlines?: {
    /** From the request's headers to the last byte of the answer. Where the client's own deadline is earlier, that counts. */
    readonly totalMs?: number;
    /** Until a host's first byte; then the next host is tried. */
    readonly perTryMs?: number;
  };
  readonly retries?: Retries;
  /**
   * Asks another host when the first takes unusually long, and takes the answer that comes first. Needs `retries.idempotent`, and
   * counts against its budget.
   */
  readonly hedging?: {
    /** After this percentile of the model's latency: 50 to 99.9. */
    readonly afterPercentile: number;
    /** Not before. Left out: 1. */
    readonly minDelayMs?: number;
  };
  /** Requests with the same unit go to the same host, as long as that does not have much more to do than the others. */
  readonly affinity?: {
    /** As an experiment's. Left out: the user. */
    readonly unit?: string | readonly string[];
    /** A host with more than this much of the mean load is passed over: 101 to 10,000. Left out: 125. */
    readonly loadBoundPercentage?: number;
  };
  /** What one Objective may hold of a proxy at once. Left out: the proxy's defaults. */
  readonly bulkhead?: {
    readonly requests?: number;
    readonly bufferedBytes?: number;
    readonly connectionsPerHost?: number;
  };
  /** At most 8. */
  readonly fallbackModels?: readonly ModelRef[];
  readonly staticAnswer?: StaticAnswer;
  /** Narrows the rules that name the policy. */
  readonly when?: Condition;
}

/** For each Objective, client tenant and model version on its own. Left out, or 0: no limit. */
interface Limits {
  readonly requestsPerSecond?: number;
  /** Requests that may come at once. Left out: one second's worth. */
  readonly burst?: number;
  readonly concurrentRequests?: number;
  /** Instead of a number: the concurrency at which the model's latency begins to rise. Left out: from 1 to 1,000. */
  readonly adaptiveConcurrency?: { readonly min?: number; readonly max?: number };
  /** Of one request. */
  readonly payloadBytes?: number;
  /** Where there is too much: `low` is refused first, `high` last. Left out: `normal`. */
  readonly priority?: "low" | "normal" | "high";
}

/** What is tried again. What was not sent, or what a host refused, always is. */
interface Retries {
  /** How often a model is asked for one request at most, 1 to 10, the first time included. Left out: 3. */
  readonly tries?: number;
  /** The model may be asked again although it may have worked on the request already. Left out: no. */
  readonly idempotent?: boolean;
  /** Tries beyond the first, in percent of the Objective's requests. Left out: 20. */
  readonly budgetPercentage?: number;
  /** Pause before the second try, doubled for each further one, with jitter. Left out: 5 and 250. */
  readonly backoffMs?: number;
  readonly backoffMaxMs?: number;
}

/** Fallback models in a rule of their own, for Objectives whose rule names none. */
interface FallbackRule {
  readonly targetObjectives: TargetObjectives;
  /** Tried in this order when the chosen model cannot be reached. At most 8. */
  readonly fallbackModels: readonly ModelRef[];
}

/** What a `define...Rule` function returns. */
type Rule =
  | ObjectiveRule
  | ContextRule
  | ExperimentRule
  | LayerRule
  | HoldoutRule
  | TrafficShiftRule
  | ShadowRule
  | EnsembleRule
  | OverrideRule
  | PolicyRule
  | FallbackRule;

/** What stands after `export default`, and what a function may return in place of one rule. */
type Rules = readonly (Rule | (() => Rule | Rules))[];
