//! Intervals that enclose exact numbers, and know when they could not decide a sign.

use std::cell::Cell;

use dahlquist::rigor::directed::{add_down, add_up, div_down, div_up, mul_down, mul_up, sub_down, sub_up};

use dahlquist_testkit::oracle::Num;

thread_local! {
    static UNDECIDED: Cell<bool> = const { Cell::new(false) };
}

/// The result of `run`, or none if the sign of an interval that contains 0 was asked for on the way.
pub fn decided<R>(run: impl FnOnce() -> R) -> Option<R> {
    UNDECIDED.set(false);
    let result = run();
    (!UNDECIDED.get()).then_some(result)
}

/// A number between `low` and `high`.
#[derive(Debug, Clone, Copy)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    fn scaled(&self, c: f64) -> Self {
        let [a, b] = if c >= 0.0 { [self.low, self.high] } else { [self.high, self.low] };
        Self { low: mul_down(c, a), high: mul_up(c, b) }
    }
}

impl Num for Interval {
    fn of(x: f64) -> Self {
        Self { low: x, high: x }
    }

    fn ratio(p: i64, q: i64) -> Self {
        Self { low: div_down(p as f64, q as f64), high: div_up(p as f64, q as f64) }
    }

    fn plus(&self, other: &Self) -> Self {
        Self { low: add_down(self.low, other.low), high: add_up(self.high, other.high) }
    }

    fn minus(&self, other: &Self) -> Self {
        Self { low: sub_down(self.low, other.high), high: sub_up(self.high, other.low) }
    }

    fn times(&self, other: &Self) -> Self {
        if self.low == self.high {
            return other.scaled(self.low);
        }
        if other.low == other.high {
            return self.scaled(other.low);
        }
        let [a, b] = [self.scaled(other.low), self.scaled(other.high)];
        Self { low: a.low.min(b.low), high: a.high.max(b.high) }
    }

    fn positive(&self) -> bool {
        if self.low <= 0.0 && self.high > 0.0 {
            UNDECIDED.set(true);
        }
        self.low > 0.0
    }
}
