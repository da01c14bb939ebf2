//! Sums and what rests on them, with the rounding error carried along.
//!
//! Prometheus adds by Kahan's algorithm in Neumaier's form, and so do we: results agree to the last digits that its
//! own tests compare.

/// A sum and the error it has gathered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    sum: f64,
    error: f64,
}

impl Sum {
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        if total.is_infinite() {
            self.error = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.error += (self.sum - total) + value;
        } else {
            self.error += (value - total) + self.sum;
        }
        self.sum = total;
    }

    pub(crate) fn of(value: f64) -> Self {
        Self { sum: value, error: 0.0 }
    }

    /// Half the sum, which is finite where both are.
    pub(crate) fn mean_of_two(a: f64, b: f64) -> Self {
        let mut whole = Self::of(b);
        whole.add(a);
        if whole.sum.is_infinite() && a.is_finite() && b.is_finite() {
            let mut halves = Self::of(b / 2.0);
            halves.add(a / 2.0);
            return halves;
        }
        Self { sum: whole.sum / 2.0, error: whole.error / 2.0 }
    }

    /// Adds another sum, so many times.
    pub(crate) fn add_scaled(&mut self, other: Self, times: f64) {
        if other.sum != 0.0 || other.error != 0.0 {
            self.error += other.error * times;
            self.add(other.sum * times);
        }
    }

    pub(crate) fn value(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.error }
    }
}

/// A mean: the sum over the count, or, once the sum would overflow, a mean moved by each value.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    count: f64,
    sum: Sum,
    incremental: bool,
}

impl Mean {
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count < 2.0 {
            self.sum.sum = value;
            return;
        }
        if !self.incremental {
            let mut next = self.sum;
            next.add(value);
            if !next.sum.is_infinite() {
                self.sum = next;
                return;
            }
            self.incremental = true;
            self.sum.sum /= self.count - 1.0;
            self.sum.error /= self.count - 1.0;
        }
        let share = (self.count - 1.0) / self.count;
        self.sum.sum *= share;
        self.sum.error *= share;
        self.sum.add(value / self.count);
    }

    pub(crate) fn value(self) -> f64 {
        if self.incremental {
            self.sum.sum + self.sum.error
        } else {
            self.sum.sum / self.count + self.sum.error / self.count
        }
    }
}

/// A variance by Welford's algorithm.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Variance {
    count: f64,
    mean: Sum,
    squares: Sum,
}

impl Variance {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - (self.mean.sum + self.mean.error);
        self.mean.add(delta / self.count);
        self.squares.add(delta * (value - (self.mean.sum + self.mean.error)));
    }

    pub(crate) fn value(self) -> f64 {
        (self.squares.sum + self.squares.error) / self.count
    }
}
