//! What a key or a user may use: rates, concurrency and money.

use crate::config::{
    error::Rejection,
    located::Located,
    range::{count, value},
    raw,
};

/// What a key or a user may use; none is no limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// Most requests of a minute.
    pub requests_per_minute: Option<u32>,
    /// Most input and output tokens of a minute.
    pub tokens_per_minute: Option<u32>,
    /// Most requests in flight.
    pub concurrency: Option<u32>,
    /// Most money.
    pub budget: Option<Budget>,
}

/// Most USD of each day, of each month, or of both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// USD for each day.
    pub day: Option<f64>,
    /// USD for each month.
    pub month: Option<f64>,
}

/// A period of UTC's calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// A day.
    Day,
    /// A month.
    Month,
}

impl Quota {
    /// No limit at all.
    pub const UNLIMITED: Self =
        Self { requests_per_minute: None, tokens_per_minute: None, concurrency: None, budget: None };

    /// Checks a quota. Zero is refused: a key that may do nothing should be removed.
    pub(in crate::config) fn check(raw: &raw::Quota) -> Result<Self, Rejection> {
        let limit =
            |key, written: &Option<Located<u32>>| written.as_ref().map(|written| count(key, written)).transpose();
        Ok(Self {
            requests_per_minute: limit("requests_per_minute", &raw.requests_per_minute)?,
            tokens_per_minute: limit("tokens_per_minute", &raw.tokens_per_minute)?,
            concurrency: limit("concurrency", &raw.concurrency)?,
            budget: raw.budget.as_ref().map(Budget::check).transpose()?,
        })
    }
}

impl Default for Quota {
    /// The limits of a key that has none in the file.
    fn default() -> Self {
        Self::check(&raw::Quota::default()).unwrap_or(Self::UNLIMITED)
    }
}

impl Budget {
    /// Returns a budget for one period.
    pub fn of(usd: f64, per: Period) -> Self {
        match per {
            Period::Day => Self { day: Some(usd), month: None },
            Period::Month => Self { day: None, month: Some(usd) },
        }
    }

    /// Returns the USD that may be spent in each `per`; none is no limit.
    pub fn limit(&self, per: Period) -> Option<f64> {
        match per {
            Period::Day => self.day,
            Period::Month => self.month,
        }
    }

    fn check(raw: &Located<raw::Budget>) -> Result<Self, Rejection> {
        if raw.day.is_none() && raw.month.is_none() {
            return Err(raw.reject(value("budget", "must give the USD for each `day`, `month`, or both", "neither")));
        }
        Ok(Self { day: usd("budget.day", raw.day.as_ref())?, month: usd("budget.month", raw.month.as_ref())? })
    }
}

fn usd(key: &'static str, written: Option<&Located<f64>>) -> Result<Option<f64>, Rejection> {
    match written {
        Some(written) if !(written.is_finite() && written.value > 0.0) => {
            Err(written.reject(value(key, "must be more than 0", written.value)))
        }
        Some(written) => Ok(Some(written.value)),
        None => Ok(None),
    }
}

impl Period {
    /// Both periods.
    pub const ALL: [Self; 2] = [Self::Day, Self::Month];

    /// Returns the period as the file spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_has_an_amount_for_one_period_or_both() {
        let check = |text: &str| {
            let budget: Located<raw::Budget> = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
            Budget::check(&budget).map_err(|rejection| rejection.to_string())
        };
        for good in ["{day: 1}", "{day: 1, month: 20}", "{month: 3}"] {
            assert!(check(good).is_ok(), "{good}");
        }
        let refusals = [
            ("{}", "1:1: `budget` must give the USD for each `day`, `month`, or both"),
            ("{usd: 1, per: day}", "usd"),
            ("{day: 0}", "1:7: `budget.day` must be more than 0"),
            ("{month: -1}", "1:9: `budget.month` must be more than 0"),
            ("{day: 1, month: .nan}", "month"),
        ];
        for (wrong, expected) in refusals {
            let found = check(wrong).unwrap_err();
            assert!(found.contains(expected), "{wrong}: {found}");
        }
    }
}
