//! How many files stay open between collections, over all collectors.
//!
//! Reading an open file again costs a fraction of opening it, but each descriptor costs the kernel about a page and
//! counts against the limit of the program. Whoever finds nothing left opens its file anew each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::{Resource, getrlimit};

/// Descriptors kept of files of processes: two each of a thousand.
const PROCESSES: usize = 2000;
/// Descriptors kept of files of cgroups: ten each of a hundred.
const CGROUPS: usize = 1000;

/// How many descriptors one kind of collector may still keep. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Descriptors(Arc<AtomicUsize>);

impl Descriptors {
    /// At most so many.
    pub(crate) fn at_most(most: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(most)))
    }

    /// The shares of processes and of cgroups: together at most half of what this program may open.
    pub(crate) fn shares() -> [Self; 2] {
        let allowed = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| (limit / 2) as usize);
        let share = |most: usize| {
            let part = allowed.saturating_mul(most) / (PROCESSES + CGROUPS);
            Self::at_most(most.min(part))
        };
        [share(PROCESSES), share(CGROUPS)]
    }

    /// Keeps the descriptor open, or closes it where the share is used up.
    pub(crate) fn keep(&self, descriptor: OwnedFd) -> Option<KeptDescriptor> {
        let take = |left: usize| left.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(KeptDescriptor { descriptor, share: self.clone() })
    }
}

/// An open descriptor that counts against a share until it is dropped.
#[derive(Debug)]
pub(crate) struct KeptDescriptor {
    descriptor: OwnedFd,
    share: Descriptors,
}

impl AsFd for KeptDescriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for KeptDescriptor {
    fn drop(&mut self) {
        self.share.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_exceeded_and_given_back_when_a_file_is_closed() {
        let share = Descriptors::at_most(2);
        let open = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let mut kept: Vec<_> = (0..3).filter_map(|_| share.keep(open())).collect();
        assert_eq!(kept.len(), 2);
        kept.pop();
        assert!(share.clone().keep(open()).is_some());
    }
}
