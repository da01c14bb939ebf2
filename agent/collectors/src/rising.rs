//! A counter that is told to others and never falls, made from one of the kernel's that may.

/// What a counter was last told to stand at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rising {
    told: u64,
    added: u64,
}

impl Rising {
    /// What the counter stands at now that its source says `raw`.
    ///
    /// A source that falls by `slip` or less was read inexactly: the last value stands until the source has caught up.
    /// One that falls deeper began anew, as that of a CPU that was taken away and came back, or of a machine that went on
    /// from a snapshot: the counter goes on from where it stood.
    pub(crate) fn at(&mut self, raw: u64, slip: u64) -> u64 {
        let value = raw.saturating_add(self.added);
        let fell_by = self.told.saturating_sub(value);
        if fell_by > slip {
            self.added = self.added.saturating_add(fell_by);
        }
        self.told = self.told.max(value);
        self.told
    }

    /// What it was last told to stand at.
    pub(crate) fn last(&self) -> u64 {
        self.told
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_fall_is_waited_out_and_a_deep_one_is_a_new_beginning() {
        let mut counter = Rising::default();
        let told: Vec<u64> =
            [1000, 1010, 1005, 1009, 1020, 7, 10, 9, 30].map(|raw| counter.at(raw, 10)).to_vec();
        assert_eq!(told, [1000, 1010, 1010, 1010, 1020, 1020, 1023, 1023, 1043]);
    }

    proptest! {
        #[test]
        fn it_never_falls_and_rises_no_further_than_its_source_did(
            raws in prop::collection::vec(prop_oneof![0..50_u64, any::<u64>()], 1..40),
            slip in 0..20_u64,
        ) {
            let mut counter = Rising::default();
            let (mut before, mut told) = (raws[0], counter.at(raws[0], slip));
            for raw in raws {
                let now = counter.at(raw, slip);
                prop_assert!(now >= told);
                prop_assert!(now - told <= raw.saturating_sub(before), "{told} became {now} as {before} became {raw}");
                (before, told) = (raw, now);
            }
        }
    }
}
