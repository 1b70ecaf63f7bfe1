//! The hash of the evaluation protocol: every random choice is a function of a seed, a purpose and two numbers.

/// What a hash is for; a number of the protocol each, so that no two uses share their randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Domain {
    /// Order of queries inside their task.
    Split = 1,
    /// Preferences of simulated users.
    Preference = 2,
    /// Which training queries a user has seen.
    Seen = 3,
    /// Which users are held out.
    HeldOut = 4,
    /// Which LLM's reward is seen in the bandit variant.
    Bandit = 5,
    /// Support of held-out users.
    Support = 6,
    /// Which LLMs are unknown in a draw.
    NewLlm = 8,
    /// On which queries they are then observed.
    Observed = 9,
    /// Which votes are test votes.
    Vote = 10,
    /// In which fold all votes of a user on a query are.
    VotePair = 11,
    /// In which fold a training vote is when ridges are chosen.
    VoteFold = 12,
    /// Noise on rewards.
    Noise = 13,
    /// Choices of the random baseline.
    Random = 14,
    /// User factors of hidden tastes; like every normal number it uses the number above as well.
    UserFactor = 20,
    /// Loadings of an LLM that are the same on all tasks.
    LlmLoading = 22,
    /// Loadings of an LLM on one task.
    TaskLoading = 24,
    /// How much more quality weighs on one task than on others.
    TaskWeight = 26,
    /// Verbosity of LLMs.
    Verbosity = 28,
    /// Noise of choices between nearly equal answers.
    ChoiceNoise = 30,
    /// How much a user dislikes long answers to short questions.
    Habit = 32,
    /// How far apart a user's stars are.
    StarScale = 34,
    /// How lenient a user is.
    Leniency = 36,
}

/// One step of splitmix64 with its increment.
pub fn sm(x: u64) -> u64 {
    let z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Returns a uniform number in 0..1, as `h` with 53 bits; 0 is possible.
pub fn unit(seed: u64, domain: Domain, a: u64, b: u64) -> f64 {
    (h(seed, domain, a, b) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Returns a uniform number strictly between 0 and 1, so that its logarithm is finite.
pub fn uniform(seed: u64, domain: Domain, a: u64, b: u64) -> f64 {
    open(h(seed, domain, a, b))
}

/// Returns a standard normal number (Box and Muller's transform of `domain` and the number above it).
pub fn normal(seed: u64, domain: Domain, a: u64, b: u64) -> f64 {
    let [length, angle] = [0, 1].map(|next| open(chain(seed, domain as u64 + next, a, b)));
    (-2.0 * length.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// Returns the middle of the 2⁻⁵³ wide step that a hash falls into.
pub fn open(hash: u64) -> f64 {
    ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// The protocol's hash of two numbers.
pub fn h(seed: u64, domain: Domain, a: u64, b: u64) -> u64 {
    chain(seed, domain as u64, a, b)
}

fn chain(seed: u64, domain: u64, a: u64, b: u64) -> u64 {
    sm(sm(sm(sm(seed) ^ domain) ^ a) ^ b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_protocol() {
        assert_eq!(sm(0), 16_294_208_416_658_607_535);
        assert_eq!(h(0, Domain::Split, 0, 0), 15_114_123_258_453_576_503);
    }
}
