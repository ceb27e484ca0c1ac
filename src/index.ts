/**
 * Palimpsest: automatic differentiation in which the backward pass belongs to the user. This is the public door.
 */
import './autograd/leaf.ts';
import './ops/methods.ts';

// Tensors
export { arange, buffer, eye, full, ones, tensor, zeros } from './tensor/create.ts';
export { rand, randn, type RandomOptions } from './tensor/random.ts';
export { Indices, type NestedArray, Tensor } from './tensor/tensor.ts';
export { withData } from './tensor/access.ts';

// Derivatives
export { parameter } from './autograd/leaf.ts';
export { type GradientOptions, grad, gradients, type TransformOptions, valueAndGrad } from './autograd/transforms.ts';
export { detectAnomaly, noGrad, scope } from './autograd/modes.ts';
export { checkGradients, type GradientCheck } from './autograd/check.ts';
export {
  defineOp,
  type GradientRule,
  type NotDifferentiable,
  type Op,
  type OpDefinition,
  type Operand,
  type Projection,
  type RawGradient,
  type Recorded,
  registeredOps,
  type Sample,
} from './autograd/define.ts';
export { Draw } from './autograd/samples.ts';

// The backward pass: messages, rules, hooks
export { type Hard, Message, type MessageKind, type Springs, slope, spring } from './autograd/message.ts';
export type { Seed } from './autograd/backward.ts';
export type { ErrorAt } from './autograd/walk.ts';
export {
  type BackwardOptions,
  backward,
  errorAt,
  inboxOf,
  seed,
  type TargetOptions,
  target,
} from './autograd/seeds.ts';
export { attachRules, gradientRule, setRule, withRules } from './autograd/rule.ts';
export type { BlockRule, NodeRule, Rule, Rules, Sent } from './autograd/rule.ts';
export type { Port, Visit } from './autograd/visit.ts';
export type { Block, BlockNode, Evaluation } from './autograd/block.ts';
export { type Hook, onEdge, onValue } from './autograd/hooks.ts';
export { type Feasibility, type Feasible, feasible } from './autograd/feasible.ts';
export { type CustomCall, type CustomGradient, customGradient } from './autograd/custom.ts';
export { type ClipLimit, clipGradient, guidedRelu, reverseGradient, scaleGradient } from './rules/everyday.ts';
export { stopGradient, straightThrough, type StraightThroughOptions } from './rules/everyday.ts';

// Learning rules: targets
export { targetPropagation, type TargetPropagationOptions } from './rules/target/propagation.ts';
export { targetLinear, type TargetLinearOptions } from './rules/target/linear.ts';
export { targetRelu, type TargetReluOptions } from './rules/target/relu.ts';
export { binaryTarget, nHotTarget, oneHotTarget, targetBinarize } from './rules/target/outputs.ts';
export { targetFromLoss, targetWinners } from './rules/target/outputs.ts';
export { targetElementwise, type TargetElementwiseOptions } from './rules/target/elementwise.ts';
export { targetSoftmax, type TargetSoftmaxOptions } from './rules/target/softmax.ts';
export { targetConvolution, type TargetConvolutionOptions } from './rules/target/convolution.ts';
export { targetMaxPool } from './rules/target/pool.ts';
export { targetAdd } from './rules/target/add.ts';
export { targetLayerNorm, targetWeightNorm, weightNorm } from './rules/target/normalization.ts';
export {
  type DifferenceTargetOptions,
  type DifferenceTargets,
  differenceTargets,
  type Inverse,
} from './rules/target/difference.ts';
export { type SpringOptions, springs } from './rules/springs/springs.ts';
export { type Stiffness, springRule } from './rules/springs/rule.ts';
export { springConvolution, springLinear, type SpringProductOptions } from './rules/springs/products.ts';
export { springAdd, springElementwise, springMul } from './rules/springs/elementwise.ts';
export { springAveragePool, springMaxPool, springSum } from './rules/springs/reductions.ts';
export { binarize, winners } from './ops/winner.ts';

// Learning rules: random feedback, predictive coding
export { feedbackAlignment, kolenPollack, signSymmetric, type SignSymmetricOptions } from './rules/feedback.ts';
export type { FeedbackOptions, FeedbackRule, FeedbackRules } from './rules/feedback-weights.ts';
export { type MirrorRule, type MirrorStep, weightMirror } from './rules/mirror.ts';
export {
  type DirectOptions,
  type DirectRule,
  directFeedbackAlignment,
  directRandomTargetProjection,
} from './rules/direct-feedback.ts';
export { predictiveCoding, prospectiveConfiguration } from './rules/predictive/rule.ts';
export type {
  PredictiveCodingOptions,
  PredictiveOptions,
  PredictiveRules,
  ProspectiveOptions,
} from './rules/predictive/rule.ts';

// What parameters carry: anchors, gates, plasticity
export { type Anchor, type AnchorOptions, anchor } from './state/anchor.ts';
export { type Gate, leafGate, observe, plasticity, unless } from './state/gate.ts';
export { forget, keep, kept, loadSideState, sideState } from './state/side-state.ts';
export { type EdgeGate, edgeGate } from './rules/edge-gate.ts';
export {
  type Answers,
  type PublishedOptions,
  SelectiveBackpropagation,
  type SelectiveOptions,
} from './rules/selective.ts';

// Units, resets, networks that keep learning
export { onReset, type Part, type ResetListener, reset } from './state/reset.ts';
export {
  activationsOf,
  findUnits,
  type Outgoing,
  type UnitLayer,
  type UnitNorm,
  type UnitRunning,
} from './state/units.ts';
export type { Activation, Activations } from './state/units.ts';
export { ContinualBackprop, type ContinualBackpropOptions } from './continual/continual-backprop.ts';
export type { ContinualBackpropState, Replacement, UnitStatistics } from './continual/continual-backprop.ts';
export { type Initialization, type NamedInitialization, replaceUnits } from './continual/newborn.ts';
export type { Utility } from './continual/utility.ts';
export { dormancyScores, ReDo, type ReDoOptions } from './continual/redo.ts';
export { SelfNormalisedResets } from './continual/self-normalised.ts';
export type { SelfNormalisedResetsOptions, SelfNormalisedResetsState } from './continual/self-normalised.ts';
export type { SilenceStatistics } from './continual/self-normalised.ts';
export type { WeightResetState } from './continual/weight-reset.ts';
export type { OnlineMeanState } from './continual/metrics.ts';
export { WeightReset, type WeightResetOptions } from './continual/weight-reset.ts';
export { CReLU, crelu, l2Init, shrinkAndPerturb, type ShrinkAndPerturbOptions } from './continual/everyday.ts';
export { UPGD, type UPGDOptions } from './continual/upgd.ts';
export { PublishedAdam, type PublishedAdamOptions } from './continual/published-adam.ts';

export { deadUnits, dormantUnits, effectiveRank, OnlineMean, rankHolding, stableRank } from './continual/metrics.ts';
export { weightMagnitude } from './continual/metrics.ts';
export { singularValues } from './ops/singular.ts';
export { labelPermutedStream, permutedStream, rotatedStream, slowlyChangingRegression } from './data/streams.ts';
export type { ClassificationStream, RegressionStream, RotatedStreamOptions, StreamData } from './data/streams.ts';
export type { SlowlyChangingRegressionOptions, TaskStreamOptions } from './data/streams.ts';

// Contexts, one after the other
export { permutedScenario, rotatedScenario, splitScenario } from './data/scenarios.ts';
export type { Batch, Context, Examples, Head, PermutedOptions, RotatedOptions } from './data/scenarios.ts';
export type { Scenario, ScenarioData, ScenarioKind, SplitOptions } from './data/scenarios.ts';
export { contextBatches, joint, mixedBatches, scenarioStream } from './data/scenarios-batches.ts';
export type { ContextBatchesOptions, ScenarioStreamOptions } from './data/scenarios-batches.ts';
export type { KindOptions } from './data/scenarios-build.ts';
export { type Answering, type EvaluateOptions, evaluate } from './continual/evaluate.ts';
export { type LearnScenarioOptions, learnScenario } from './continual/learn-scenario.ts';
export { ContinualLearner, type ContinualLearnerOptions, SeparateNetworks } from './continual/learner.ts';
export type { ContinualLearnerState } from './continual/learner.ts';
export type { Learning, Method, StatefulMethod, Step } from './continual/method.ts';
export type { Kept, KeptByName } from './continual/state.ts';
export {
  averageAccuracy,
  averageIncrementalAccuracy,
  learningAccuracy,
  backwardTransfer,
  forwardTransfer,
  forgetting,
  worstCaseForgetting,
  forgettingSinceLearned,
  intransigence,
} from './continual/accuracy-matrix.ts';
export type { AccuracyMatrix } from './continual/accuracy-matrix.ts';

// Methods against forgetting
export { type EWCOptions, ewc } from './continual/anchoring/ewc.ts';
export { type MASOptions, mas } from './continual/anchoring/mas.ts';
export { type SIMethod, type SIOptions, si, type Way } from './continual/anchoring/si.ts';
export { type RWalkMethod, type RWalkOptions, rwalk, type Walk } from './continual/anchoring/rwalk.ts';
export { type OnlineAnchorsOptions, onlineAnchors } from './continual/anchoring/online.ts';
export type { AnchoringMethod, Held, PullStep, PullsState } from './continual/anchoring/pulls.ts';
export type { AnchoringState } from './continual/anchoring/state.ts';
export type { MeasureOptions } from './continual/anchoring/measured.ts';
export { quadraticPenalty } from './ops/penalty.ts';
export { er, type ExperienceReplayOptions } from './continual/replay/er.ts';
export { type DarkReplayOptions, type DarkReplayPlusOptions, der, derpp } from './continual/replay/der.ts';
export {
  type LearningWithoutForgettingOptions,
  type LearningWithoutForgettingState,
  lwf,
} from './continual/replay/lwf.ts';
export { agem } from './continual/replay/agem.ts';
export { gem, type GradientEpisodicMemoryOptions, type GradientEpisodicMemoryState } from './continual/replay/gem.ts';
export type { MemoryOptions, MemoryState } from './continual/replay/memory.ts';
export {
  ContextBuffer,
  type ContextBufferOptions,
  type ContextBufferState,
} from './continual/replay/context-buffer.ts';
export { Reservoir, type ReservoirOptions, type ReservoirState } from './continual/replay/reservoir.ts';
export type { Drawn, Group, StoreState } from './continual/replay/examples.ts';
export { type PackNet, type PackNetOptions, packnet } from './continual/masks/packnet.ts';
export type { PackedParameters, PackNetState } from './continual/masks/packnet.ts';
export { type Hat, type HatOptions, type HatState, hat } from './continual/masks/hat.ts';
export type { OutputRowsState } from './continual/masks/outputs.ts';
export { HatMask, type HatMaskOptions, type MaskInForce } from './continual/masks/hat-mask.ts';
export { continualBackprop, type ContinualBackpropMethodOptions } from './continual/plasticity-methods.ts';
export { redo, type ResettingMethod, type ResettingState, shrinkPerturb } from './continual/plasticity-methods.ts';
export { type Confidence, type ConfidenceOptions, confidence } from './continual/confidence.ts';
export type { ConfidenceState } from './continual/confidence.ts';
export type { UnitBonus } from './continual/continual-backprop.ts';

// Gradients of each example, and importance of weights
export { absoluteGradients, perExampleGradients, squaredGradients } from './autograd/per-example.ts';
export type { ExampleRange, PerExample } from './autograd/define.ts';
export { type FisherBatch, type FisherKind, type FisherOptions, fisher } from './importance/fisher.ts';
export { outputSensitivity } from './importance/mas.ts';

// Which weights matter
export { measureNamed, type MeasureName, measures } from './importance/measures.ts';
export type { Comparison, Importance, LabelledBatch, Measure, Subject } from './importance/measure.ts';
export { type Aggregate, aggregate, type AggregateOptions, type Level } from './importance/aggregate.ts';
export { type Direction, rank, Ranking, type RankOptions } from './importance/ranking.ts';
export { Removal, type RemovalOptions, type Removed, type WeightReplacement } from './importance/removal.ts';
export { areaUnder, bearable, meanCurve, performance, removalCurve } from './importance/curve.ts';
export type {
  CurveOptions,
  CurvePoint,
  Evaluated,
  Height,
  MeanPoint,
  Performance,
  Repair,
} from './importance/curve.ts';
export { Compensation, type DampingOptions } from './importance/compensation.ts';
export { PathIntegral, RiemannianWalk, type RiemannianWalkOptions } from './importance/trackers.ts';
export { type Movement, WeightMovement } from './importance/movement.ts';
export { aroundSteps, type NamedParameters, type StepHooks, type Steps } from './importance/steps.ts';
export type { ParameterKind } from './importance/structure.ts';
export { type CifarImages, type CifarOptions, parseCifar, parseClassNames } from './data/cifar.ts';
export { classColumn, type CsvOptions, type CsvTable, numericColumn, numericRows, parseCsv } from './data/csv.ts';

// Looking at a backward pass
export { type AuditOptions, audit } from './inspect/audit.ts';
export { dot, mermaid, tree } from './inspect/draw.ts';
export type { AuditedEdge, AuditedNode, Reading, Report, SeenMessage, Sending } from './inspect/report.ts';
export { type CompareOptions, compareUpdates, type UpdateComparison } from './rules/diagnostics.ts';

// Operations: elementwise
export { add, div, eq, ge, gt, le, lt, maximum, minimum, mul, ne, sub, where } from './ops/binary.ts';
export { abs, clamp, cos, erf, exp, expm1, log, log1p, neg, pow, reciprocal, rsqrt } from './ops/elementwise.ts';
export { sign, sin, sqrt, square } from './ops/elementwise.ts';
export { elu, gelu, hardswish, leakyRelu, logsigmoid, mish, relu, selu, sigmoid, silu } from './ops/elementwise.ts';
export { softplus, tanh } from './ops/elementwise.ts';

// Operations: products, reductions, shapes, indices
export { linear, matmul } from './ops/matmul.ts';
export { expand, sum } from './ops/sum.ts';
export { amax, amin, argmax, argmin, mean, norm, prod, std, type VarianceOptions, variance } from './ops/reduce.ts';
export { logSoftmax, logsumexp, softmax } from './ops/softmax.ts';
export { layerNorm } from './ops/normalization.ts';
export { batchNorm, type BatchNormCall, type RunningStatistics } from './ops/batch-normalization.ts';
export { cholesky, solvePositive, triangularSolve } from './ops/solve.ts';
export { cat, clone, flatten, flip, pad, permute, type Range, reshape, slice, squeeze, stack } from './ops/shape.ts';
export { transpose, unsqueeze } from './ops/shape.ts';
export { gather, type IndexLike, indexSelect, oneHot } from './ops/indexing.ts';

// Operations: images and losses
export { type ConvolutionOptions, conv2d } from './ops/convolution.ts';
export { avgPool2d, maxPool2d, type PoolOptions } from './ops/pool.ts';
export { crossEntropy, type CrossEntropyOptions, l1Loss, type LossOptions, mseLoss, nllLoss } from './ops/loss.ts';
export type { Reduction } from './ops/loss.ts';

// Random numbers
export { defaultGenerator, Generator, type GeneratorState, manualSeed } from './random/generator.ts';

// Layers
export { Module, type StateDict } from './nn/module.ts';
export { Flatten, Identity, Sequential } from './nn/container.ts';
export { Linear, type LinearOptions } from './nn/linear.ts';
export { Conv2d, type Conv2dOptions } from './nn/convolution.ts';
export { AvgPool2d, MaxPool2d } from './nn/pool.ts';
export { Dropout } from './nn/dropout.ts';
export { BatchNorm1d, BatchNorm2d, type BatchNormOptions } from './nn/normalization.ts';
export { LayerNorm, type LayerNormOptions } from './nn/normalization.ts';
export { ELU, GELU, Hardswish, LeakyReLU, LogSigmoid, LogSoftmax, Mish, ReLU, SELU } from './nn/activation.ts';
export { Sigmoid, SiLU, Softmax, Softplus, Tanh } from './nn/activation.ts';
export * as init from './nn/init.ts';

// Optimizers and schedules
export { SGD, type SGDOptions } from './optim/sgd.ts';
export { Adam, type AdamOptions, AdamW } from './optim/adam.ts';
export type { OptimizerState } from './optim/optimizer.ts';
export { CosineAnnealingLR, LinearLR, Schedule } from './optim/schedules.ts';

// Data
export { type BatchOptions, batches } from './data/batches.ts';
export { gunzip, isGzip } from './data/gzip.ts';
export { type IdxArray, parseIdx, readIdx } from './data/idx.ts';

// Files and checkpoints
export { formatSafetensors, parseSafetensors, type SavableTensors, type Safetensors } from './io/safetensors.ts';
export { StoredTensor } from './io/safetensors.ts';
export { loadSafetensors, saveSafetensors, writeFileAtomically } from './io/files.ts';
export { type CheckpointParts, formatCheckpoint, type LoadOptions, loadCheckpoint } from './io/checkpoint.ts';
export { type Resumed, restoreCheckpoint, saveCheckpoint } from './io/checkpoint.ts';
export type { CheckpointTargets, OneOrNamed, Stateful } from './io/places.ts';
export type { State } from './io/state.ts';
export type { DType } from './io/dtypes.ts';

// Memory
export { createContext, type MemoryContext } from './storage/context.ts';
export { kernelSet, memoryInUse, setMemoryLimit } from './storage/dispatch.ts';
export type { KernelSet } from './storage/heap.ts';
export { GivenBackError } from './storage/storage.ts';
