//! How user ids are written to the log: as they are, or as a keyed hash.

use std::sync::Arc;

use hmac::{Hmac, Mac, digest::KeyInit};
use sha2::{Digest, Sha256};

/// The bytes of a hash that are logged: two of a million users have the same with a probability of 1 in 30 million.
const BYTES: usize = 8;

/// How user ids are written to the log.
#[derive(Clone)]
pub enum UserIds {
    /// As they are.
    Plain,
    /// As the first bytes of an HMAC-SHA256. Equal ids have equal hashes; without the key nobody can test a guess.
    Hashed(Arc<Hmac<Sha256>>),
}

impl UserIds {
    /// Returns hashed ids with `key`.
    pub fn hashed(key: &[u8]) -> Self {
        // An HMAC's own key has the length of a block; as its definition says, the digest of a longer key stands for it.
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        let digest = Sha256::digest(key);
        let key = if key.len() > block.len() { digest.as_slice() } else { key };
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Self::Hashed(Arc::new(<Hmac<Sha256> as KeyInit>::new(&block)))
    }

    /// Returns what is logged for `user`.
    pub fn logged(&self, user: &str) -> String {
        match self {
            Self::Plain => user.to_owned(),
            Self::Hashed(hmac) => {
                let hash = (**hmac).clone().chain_update(user).finalize().into_bytes();
                const_hex::encode(hash.get(..BYTES).unwrap_or_default())
            }
        }
    }
}

/// Shows no key.
impl std::fmt::Debug for UserIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Hashed(_) => "Hashed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_the_key_and_the_id_and_on_nothing_else() {
        let (first, second) = (UserIds::hashed(b"one"), UserIds::hashed(b"two"));
        assert_eq!(first.logged("ada"), first.logged("ada"));
        assert_ne!(first.logged("ada"), first.logged("bob"));
        assert_ne!(first.logged("ada"), second.logged("ada"));
        assert_eq!(first.logged("ada").len(), 16);
        assert_eq!(UserIds::Plain.logged("ada"), "ada");
    }

    #[test]
    fn the_hash_is_the_standards() {
        // The first test case of RFC 4231.
        assert_eq!(UserIds::hashed(&[0x0b; 20]).logged("Hi There"), "b0344c61d8db3853");
    }
}
