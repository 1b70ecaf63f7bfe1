//! Splits text into words and hashes them.

use std::str::Chars;

/// Digits of a number that are kept.
const MAX_DIGITS: u32 = 4;

/// Repetitions of a symbol that are kept.
const MAX_REPEAT: u32 = 3;

/// Iterates over the hashes of a text's words.
pub(super) struct Words<'text> {
    rest: Chars<'text>,
}

impl<'text> Words<'text> {
    pub(super) fn new(text: &'text str) -> Self {
        Self { rest: text.chars() }
    }

    /// Consumes and returns the next character if `accept` returns true for it.
    fn next_if(&mut self, accept: impl Fn(char) -> bool) -> Option<char> {
        let mut after = self.rest.clone();
        let next = after.next().filter(|c| accept(*c))?;
        self.rest = after;
        Some(next)
    }

    /// Hashes the alphanumeric run that starts with `first`.
    fn run(&mut self, first: char) -> u64 {
        let mut hash = Fnv::default();
        let mut n_chars = 0_u32;
        let mut n_digits = 0_u32;
        let mut next = Some(first);
        while let Some(c) = next {
            hash.lowercase(c);
            n_chars += 1;
            n_digits += u32::from(c.is_ascii_digit());
            next = self.next_if(is_run);
        }
        if n_digits == n_chars { hash_repeated('0', n_digits.min(MAX_DIGITS)) } else { hash.0 }
    }

    /// Hashes the run of the symbol `first`.
    fn symbol(&mut self, first: char) -> u64 {
        let mut n = 1;
        while self.next_if(|c| c == first).is_some() {
            n += 1;
        }
        hash_repeated(first, MAX_REPEAT.min(n))
    }
}

impl Iterator for Words<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let first = self.rest.find(|c| !c.is_whitespace())?;
        if is_ideograph(first) {
            Some(hash_repeated(first, 1))
        } else if first.is_alphanumeric() {
            Some(self.run(first))
        } else {
            Some(self.symbol(first))
        }
    }
}

/// FNV-1a, 64 bits.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }

    fn char(&mut self, c: char) {
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            self.byte(byte);
        }
    }

    fn lowercase(&mut self, c: char) {
        match u8::try_from(c).ok().filter(u8::is_ascii) {
            Some(ascii) => self.byte(ascii.to_ascii_lowercase()),
            None => c.to_lowercase().for_each(|lower| self.char(lower)),
        }
    }
}

/// Hashes `c` written `n` times.
fn hash_repeated(c: char, n: u32) -> u64 {
    let mut hash = Fnv::default();
    for _ in 0..n {
        hash.char(c);
    }
    hash.0
}

fn is_run(c: char) -> bool {
    c.is_ascii_alphanumeric() || (!c.is_ascii() && c.is_alphanumeric() && !is_ideograph(c))
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
