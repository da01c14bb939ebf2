//! The newest values of a series, as they are read.
//!
//! Most series do not change for hours. One whose values are all the same keeps that value and how often it came.

use crate::timeline::Sliding;

#[derive(Debug)]
pub(super) enum Values {
    Same { value: f64, count: usize },
    Each(Sliding<f64>),
}

impl Default for Values {
    fn default() -> Self {
        Self::Same { value: 0.0, count: 0 }
    }
}

impl Values {
    pub(super) fn from_vec(values: Vec<f64>) -> Self {
        let mut values = Self::Each(Sliding::from_vec(values));
        values.merge();
        values
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Same { count, .. } => *count,
            Self::Each(values) => values.len(),
        }
    }

    pub(super) fn push(&mut self, item: f64) {
        match self {
            Self::Same { value, count } if *count == 0 || value.to_bits() == item.to_bits() => {
                *value = item;
                *count += 1;
            }
            Self::Same { .. } => self.each().push(item),
            Self::Each(values) => values.push(item),
        }
    }

    /// The values one by one, which they are from now on.
    fn each(&mut self) -> &mut Sliding<f64> {
        if let Self::Same { value, count } = *self {
            let mut values = Vec::with_capacity(count + 8);
            values.resize(count, value);
            *self = Self::Each(Sliding::from_vec(values));
        }
        match self {
            Self::Each(values) => values,
            Self::Same { .. } => unreachable!("the values became values one by one"),
        }
    }

    /// Keeps values that have become all the same as one.
    pub(super) fn merge(&mut self) {
        let Self::Each(values) = self else { return };
        let values = values.as_slice();
        let Some(first) = values.first().copied() else { return };
        if values.iter().rev().all(|value| value.to_bits() == first.to_bits()) {
            *self = Self::Same { value: first, count: values.len() };
        }
    }

    pub(super) fn newest(&self) -> Option<f64> {
        self.get(self.len().checked_sub(1)?)
    }

    pub(super) fn get(&self, at: usize) -> Option<f64> {
        match self {
            Self::Same { value, count } => (at < *count).then_some(*value),
            Self::Each(values) => values.as_slice().get(at).copied(),
        }
    }

    pub(super) fn replace_newest(&mut self, item: f64) {
        if self.newest().is_some_and(|newest| newest.to_bits() != item.to_bits())
            && let Some(newest) = self.each().last_mut()
        {
            *newest = item;
        }
    }

    pub(super) fn drop_front(&mut self, dropped: usize) {
        match self {
            Self::Same { count, .. } => *count = count.saturating_sub(dropped),
            Self::Each(values) => values.drop_front(dropped),
        }
    }

    /// Gives back memory that is free.
    pub(super) fn fit(&mut self) {
        if let Self::Each(values) = self {
            values.fit();
        }
    }

    pub(super) fn truncate(&mut self, keep: usize) {
        match self {
            Self::Same { count, .. } => *count = keep.min(*count),
            Self::Each(values) => values.truncate(keep),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = f64> + Clone {
        let (same, each): (_, &[f64]) = match self {
            Self::Same { value, count } => (Some(std::iter::repeat_n(*value, *count)), &[]),
            Self::Each(values) => (None, values.as_slice()),
        };
        same.into_iter().flatten().chain(each.iter().copied())
    }

    /// All but the oldest `count`.
    pub(super) fn skip(&self, count: usize) -> impl Iterator<Item = f64> + Clone {
        self.iter().skip(count)
    }

    /// The values from `from` to before `end`; `same` is the room in which one value is repeated.
    pub(super) fn slice<'a>(&'a self, from: usize, end: usize, same: &'a mut Vec<f64>) -> &'a [f64] {
        match self {
            Self::Each(values) => values.as_slice().get(from..end).unwrap_or_default(),
            Self::Same { value, count } => {
                let wanted = end.min(*count).saturating_sub(from);
                if same.first().is_some_and(|last| last.to_bits() != value.to_bits()) {
                    same.clear();
                }
                if same.len() < wanted {
                    same.resize(wanted, *value);
                }
                same.get(..wanted).unwrap_or_default()
            }
        }
    }

    /// The memory that the values take, in bytes.
    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Same { .. } => 0,
            Self::Each(values) => values.capacity() * size_of::<f64>(),
        }
    }
}
