//! Every constant of the graph network that is no hyperparameter, in one table.

/// Interactions of a user that a training step reads at most: more are sampled.
pub const HISTORY: usize = 64;
/// Share of every user's groups that training does not touch: they decide which epoch is kept.
pub const VALIDATION_SHARE: f64 = 0.1;
/// Share of a step's loss that a group's mean has beside the differences inside it: the difficulty of a query is noise.
pub const MEAN_SHARE: f64 = 0.1;
/// Pseudo-observations with which tables of (task, LLM) are pulled to zero.
pub const TABLE_PRIOR: f64 = 100.0;
/// Steps of Newton's method for choices and votes, whose likelihood is no square.
pub const NEWTON_STEPS: usize = 2;
/// Peak of the learning rate, as a share of all steps.
pub const WARM_UP: f64 = 0.15;
/// Learning rates of the first and the last step, as shares of the peak.
pub const RATE_ENDS: [f64; 2] = [0.04, 1e-4];
/// Largest norm of a step's gradient; a larger one is scaled to it.
pub const CLIP: f64 = 1.0;
/// Decays of AdamW's moments, and what keeps its division finite.
pub const ADAM: [f64; 3] = [0.9, 0.999, 1e-8];
/// Edges that are encoded at once outside training: bounds the memory.
pub const CHUNK_EDGES: usize = 200_000;
/// Least standard deviation of what ratings leave open, in units of their spread.
pub const LEAST_NOISE: f64 = 0.05;
