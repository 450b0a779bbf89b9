/**
 * Types for the tests beside signalbox rules: what a file `NAME.test.js` finds beside what a rule file finds
 * (api/rules.d.ts). It runs in the same sandbox and decides nothing: it says which decisions are expected, and
 * `signalbox rules test` compares. Guide: docs/rules.md.
 */

/** A request, as far as decisions look at it. What is left out, the request does not have. */
interface TestedRequest {
  readonly objective: string | Objective;
  readonly user?: string;
  readonly country?: string;
  readonly locale?: string;
  readonly device?: string;
  readonly surface?: string;
  readonly tenant?: string;
  readonly trafficType?: "live" | "synthetic" | "replay" | "shadow";
  /** `"4.2.1"` */
  readonly appVersion?: string;
  readonly segments?: readonly string[];
  readonly attributes?: { readonly [name: string]: string | number | boolean };
  /** When the request comes: `"2026-01-31T18:00:00Z"`. Left out: nothing that depends on time is in effect. */
  readonly now?: string;
  /** What the caller asks for in `sb-override`. Cells: experiment to cell. */
  readonly override?: { readonly model?: string; readonly cells?: { readonly [experiment: string]: string | number } };
}

/** `"ranker@2"`, or a model as in a rule. */
type ExpectedModel = string | { readonly name: string; readonly version?: string | number } | { readonly ensemble: string | number };

type DecisionReason = "default" | "experiment" | "traffic_shift" | "context_rule" | "override";

/** What is expected of one decision. Each returns the same again. */
interface DecisionExpectation {
  model(model: ExpectedModel): this;
  /** The request takes part in the experiment, in this cell. */
  cell(experiment: string | number, cell: string | number): this;
  /** It takes no part in it. */
  noCell(experiment: string | number): this;
  /** Why the model was chosen. */
  reason(reason: DecisionReason): this;
  /** In ObjectiveConfig, whichever rule sets it. */
  parameter(key: string, value: string | number | boolean): this;
  /** All of them, in order. */
  fallbacks(...models: ExpectedModel[]): this;
  /** The request may be copied there: it is decided as one that every sample rate takes. */
  shadow(id: string): this;
  policy(name: string): this;
  /** The override rule that let the caller choose. */
  override(rule: string): this;
  /** There is one, at the end of the fallback chain. */
  staticAnswer(): this;
}

/** In percent of the users, and percentage points (1 where it is left out). */
interface ExpectedShare {
  readonly share: number;
  readonly tolerance?: number;
}

interface DistributionExpectation {
  model(model: ExpectedModel, share: ExpectedShare): this;
  cell(experiment: string | number, cell: string | number, share: ExpectedShare): this;
}

/** A test of a name that says who gets what. `run` is called once and expects something. */
declare function test(name: string, run: () => void): void;

/** What a request is decided to be. Only inside of a test. */
declare function expect(request: TestedRequest): DecisionExpectation;

/**
 * The same request from many users, 10,000 where their number is left out. They are generated, `user` and every other unit that a
 * rule has and the request does not give; the same in every run.
 */
declare function distribution(
  request: Omit<TestedRequest, "user">,
  options?: { readonly users?: number },
): DistributionExpectation;
