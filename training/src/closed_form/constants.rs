//! Every constant of the closed-form estimator, in one table.
//!
//! Values were chosen on zeroeval and llmrouter9 (validation queries, seeds 0 to 2). What the results depend on is archived
//! with the benches; limits of memory and steps are named as such.

// Choice of the estimation method.

/// Share of rated answers that must have three or more ratings for linear fits to be tried.
pub const LINEAR_COVERAGE: f64 = 0.8;
/// Largest error of held-out ratings for which linear fits are used, in standard deviations of the rewards.
pub const LINEAR_ERROR: f64 = 0.05;
/// Error of held-out ratings below which (user, LLM) offsets are not tried.
pub const OFFSET_MIN_ERROR: f64 = 0.005;
/// Offsets are used if they reduce the error of held-out ratings to this share.
pub const OFFSET_IMPROVEMENT: f64 = 0.7;

// Linear fits of an answer's ratings over preference scores.

/// Most rounds of alternating least squares.
pub const LINEAR_ROUNDS: usize = 30;
/// Change of the scores that ends the rounds, in standard deviations.
pub const LINEAR_TOLERANCE: f64 = 1e-7;
/// Ridge, in ratings: decides only where the ratings leave a coefficient open.
pub const RIDGE: f64 = 1e-3;
/// Leverage above which a rating cannot be held out.
pub const MAX_LEVERAGE: f64 = 0.95;
/// Share of users skipped at each end of the scale.
pub const SCORE_TAIL: f64 = 0.002;
/// Most rounds with (user, LLM) offsets.
pub const OFFSET_ROUNDS: usize = 100;
/// Change of the scores that ends these rounds, in standard deviations.
pub const OFFSET_TOLERANCE: f64 = 1e-6;
/// Rounds with offsets stop after so many if the error is above the second number, in standard deviations of the rewards.
pub const OFFSET_TRIAL: (usize, f64) = (12, 0.15);

// Preference scores where ratings are few or noisy.

/// Rounds of alternating least squares on (task, LLM) lines.
pub const SCORE_ROUNDS: usize = 40;
/// Rounds with the posterior of single answers.
pub const SCORE_REFINEMENTS: usize = 25;
/// Least standard deviation of a rating's noise, in standard deviations of the rewards.
pub const MIN_NOISE: f64 = 0.08;
/// Weight of the LLM's slope in that of a (task, LLM) pair, in ratings at one standard deviation.
pub const SLOPE_PRIOR: f64 = 2.0;
/// Least preference score, as a share of the largest.
pub const MIN_SCORE: f64 = 0.02;

// Means and covariances of answers.

/// Weight of the LLM's and the task's means in that of a (task, LLM) pair, in answers.
pub const MEAN_PRIOR: f64 = 0.25;
/// Rounds of expectation and maximisation.
pub const COVARIANCE_ROUNDS: usize = 15;
/// Weight of the covariance of all tasks in a task's own, in queries.
pub const COVARIANCE_PRIOR: f64 = 60.0;
/// Added to the diagonal of covariances, so that they can be inverted.
pub const JITTER: f64 = 1e-3;

// Users from their interactions.

/// Probability above which a guessed task counts as declared.
pub const LIKELY_TASK: f64 = 0.5;
/// Information of an interaction behind a start, in that of the prior.
pub const RATING_INFORMATION: f64 = 1.0;

// User factors and LLM loadings.

/// Alternations of answers and factors.
pub const ALTERNATIONS: usize = 4;
/// Alternations in which the preference direction is estimated anew among all factors.
pub const REALIGNMENTS: usize = 2;
/// Mean change of preference scores below which the cost end of the scale is not moved.
pub const MIN_RESCALING: f64 = 0.03;
/// Rounds of factor analysis.
pub const FACTOR_ROUNDS: usize = 40;
/// Most users in the factor analysis; more do not improve the loadings.
pub const FACTOR_SAMPLE: i64 = 2_000;
/// Fewest users in the factor analysis.
pub const FACTOR_MIN_USERS: usize = 20;
/// Most factors.
pub const MAX_FACTORS: i64 = 16;
/// Share of a factor's variance that ratings must explain, on average over users, for the factor to stay.
pub const FACTOR_MIN_EXPLAINED: f64 = 0.1;
/// Least root mean square of a factor's loadings, in standard deviations of the rewards.
pub const FACTOR_MIN_LOADING: f64 = 0.01;
/// Least standard deviation of a residual, in standard deviations of the rewards.
pub const FACTOR_MIN_NOISE: f64 = 0.01;
/// Standard deviation of the correction of a user's preference score.
pub const SCORE_CORRECTION: f64 = 0.3;
/// The fixed score of users whose factors are estimated last: a correction of nearly zero.
pub const NO_CORRECTION: f64 = 1e-6;
/// Standard errors by which factors must improve the prediction of held-out ratings.
pub const FACTOR_STANDARD_ERRORS: f64 = 4.0;
/// Share of the held-out squared error that factors must explain: on real ratings of single answers, by users without
/// factors, they once explained 0.4 per cent; with generated factors, 20 per cent and more.
pub const FACTOR_MIN_GAIN: f64 = 0.02;

// Query text.

/// Most training queries in the kernel, whose cost grows with the cube; a random subset of more.
pub const MAX_KERNEL_QUERIES: usize = 6_000;
/// Share of the kernel that shape tokens contribute.
pub const SHAPE_SHARE: f64 = 0.5;
/// Width of the kernel over the values of a shape token, in steps.
pub const SHAPE_WIDTH: f64 = 1.5;
/// The same for the length, whose steps are eighth octaves.
pub const LENGTH_WIDTH: f64 = 6.0;
/// Share of each ridge regression that is specific to the task.
pub const TASK_SHARE: f64 = 0.5;
/// Penalty of the ridge regression of the difficulty.
pub const DIFFICULTY_PENALTY: f64 = 1.0;
/// Penalty of the ridge regressions per LLM: differences between LLMs are noisier than their mean.
pub const LLM_PENALTY: f64 = 3.0;
/// Penalty of difficulty slopes, in queries of average variance.
pub const SLOPE_PENALTY: f64 = 6.0;
/// Weight of the shrunk slopes, and what is added to it as text predicts LLMs better: a slope too steep costs more than a
/// right one earns.
pub const SLOPE_WEIGHT: [f64; 2] = [0.33, 0.67];
/// Part of an LLM's relevance that is uniform.
pub const RELEVANCE_SMOOTHING: f64 = 0.1;
/// Relevance below which an LLM counts as never chosen.
pub const MIN_RELEVANCE: f64 = 0.03;
/// Preferences, evenly from 0 to 1, at which choices are evaluated.
pub const PREFERENCE_GRID: i64 = 20;
/// Standard errors by which left-out choices must be worse for the text to be dropped.
pub const TEXT_STANDARD_ERRORS: f64 = 2.0;

// Task classifier.

/// Penalty with n-grams: a text has many words that do not depend on its task.
pub const TASK_PENALTY_LEXICAL: f64 = 1.0;
/// Penalty with embeddings.
pub const TASK_PENALTY_EMBEDDING: f64 = 0.3;
/// Scales of the logits that are tried, from near ignorance to near certainty.
pub const TASK_SCALES: [f64; 12] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0];
/// Penalty of the logit map's distance from the best scale.
pub const TASK_MAP_PENALTY: f64 = 0.1;
/// Most steps of the logistic regression: on real data, probabilities no longer change after 100.
pub const TASK_STEPS: usize = 200;

// Out-of-distribution gate.

/// Largest share of left-out training queries below the threshold, with n-grams.
pub const GATE_SHARE_LEXICAL: f64 = 0.19;
/// The same with embeddings, which represent texts of new words better.
pub const GATE_SHARE_EMBEDDING: f64 = 0.1;
/// Thresholds that are tried.
pub const GATE_STEPS: i32 = 20;
/// Share that left-out choices may lose of what they earn beyond the best single LLM.
pub const GATE_MAX_LOSS: f64 = 0.1;
/// Width of the gate, in standard deviations of the training queries' likeness to their tasks.
pub const GATE_WIDTH: f64 = 0.5;
/// Standard deviation of the likeness below which there is no gate.
pub const GATE_MIN_SPREAD: f64 = 1e-4;

// Adapter: the posterior of a user's preference score and factors.

/// Points of the score grid; fewer lose a few tenths of a point of gap, more gain none.
pub const GRID_POINTS: i64 = 41;
/// Bins of the reward.
pub const REWARD_BINS: i64 = 64;
/// Most elements of the likelihood table, two bytes each in the bundle.
pub const MAX_LIKELIHOODS: i64 = 600_000;
/// Fewest bins and grid points where LLMs and tasks are many.
pub const MIN_GRID: i64 = 11;
/// Width of the kernel as a share of the range of rewards.
pub const BANDWIDTH: f64 = 0.01;
/// Least width of the kernel in bins: interpolation between bins loses what is narrower.
pub const BANDWIDTH_BINS: f64 = 0.6;
/// Share of the uniform component.
pub const UNIFORM_SHARE: f64 = 0.03;
/// Weight of an LLM's density over all tasks, in answers.
pub const POOLED_ANSWERS: f64 = 2.0;
/// Most queries of a (task, LLM) pair that are read: more do not improve the density.
pub const DENSITY_QUERIES: i64 = 300;
/// Width of the kernel over the population's preference scores.
pub const PRIOR_WIDTH: f64 = 0.05;
/// Share of a uniform population in the prior.
pub const PRIOR_UNIFORM: f64 = 0.1;
/// Share of rewards beyond each end of the range.
pub const REWARD_TAIL: f64 = 0.001;
/// Weight of an answer when the user rated others to the same query, which share the query's difficulty. Between .3 and 1 it
/// hardly matters without noise; with noise, .4 is best.
pub const GROUPED_WEIGHT: f64 = 0.4;
/// Most answers' worth of evidence: longer histories count by their mean.
pub const MAX_EVIDENCE: f64 = 64.0;
/// Grid of an LLM's offset for a user: so many steps,
pub const OFFSET_STEPS: i64 = 21;
/// over so many standard deviations to each side.
pub const OFFSET_WIDTH: f64 = 3.0;
/// Least posterior variance of an offset: the grid resolves nothing narrower.
pub const MIN_OFFSET_VARIANCE: f64 = 0.02;
/// Weight on cost that users are assumed to have, at least, when they declare a preference: their factors at most double.
pub const MIN_COST_WEIGHT: f64 = 0.5;

// New LLMs.

/// Standard deviations of the lower confidence bound of an LLM without ratings.
pub const CONFIDENCE_BOUND: f64 = 2.0;
/// Least variance of LLM means and of their deviations by task, as shares of the variance of answers.
pub const MIN_LLM_VARIANCE: [f64; 2] = [5e-4, 5e-6];
/// Least noise of a rating, as a share of the standard deviation of answers.
pub const MIN_RATING_NOISE: f64 = 0.02;

// Limits of memory.

/// Elements of matrices worked on at once.
pub const CHUNK: i64 = 4_000_000;
/// Queries scored at once.
pub const SCORE_CHUNK: usize = 1024;
/// Columns of the kernel computed at once.
pub const KERNEL_COLUMNS: usize = 256;
/// Most elements of the exported text table, one byte each: the scorer stays under 5 MB.
pub const MAX_TEXT_TABLE: i64 = 4_600_000;
