//! An open file of the model.

use std::io::{self, IoSlice};

use super::{Change, EIO, ENOSPC, File, Inner, Opened, Pending};

impl Opened {
    fn with<T>(&self, act: impl FnOnce(&mut Inner, usize) -> T) -> T {
        act(&mut self.0.lock().unwrap(), self.1)
    }
}

impl File for Opened {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|inner, inode| {
            if inner.faults.until_dead == Some(0) {
                return Err(io::Error::from_raw_os_error(EIO));
            }
            inner.strike(|faults| &mut faults.reads)?;
            let rest = inner.inodes[inode].current.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })
    }

    fn write_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.with(|inner, inode| {
            inner.alive()?;
            let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
            let failed = inner.strike(|faults| &mut faults.writes);
            if failed.is_err() {
                bytes.truncate(bytes.len() / 2);
            }
            let file = &inner.inodes[inode];
            let held = (file.current.len() as u64).max(file.allocated);
            let grows = (offset + bytes.len() as u64).saturating_sub(held);
            let room =
                inner.faults.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(inner.used()));
            let missing = grows.saturating_sub(room);
            bytes.truncate(bytes.len() - missing as usize);
            let change = Change::Write(offset, bytes);
            let file = &mut inner.inodes[inode];
            change.apply(&mut file.current);
            file.pending.push(Pending { change, doomed: false });
            if missing > 0 {
                inner.faults.struck = true;
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
            failed
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|inner, inode| {
            inner.alive()?;
            let failed = inner.strike(|faults| &mut faults.syncs);
            let file = &mut inner.inodes[inode];
            if failed.is_err() {
                for pending in &mut file.pending {
                    pending.doomed = true;
                }
                return failed;
            }
            let (doomed, written): (Vec<_>, Vec<_>) =
                std::mem::take(&mut file.pending).into_iter().partition(|pending| pending.doomed);
            for pending in &written {
                pending.change.apply(&mut file.durable);
            }
            file.pending = doomed;
            Ok(())
        })
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.with(|inner, inode| {
            inner.alive()?;
            let change = Change::Length(length);
            let file = &mut inner.inodes[inode];
            change.apply(&mut file.current);
            file.allocated = 0;
            file.pending.push(Pending { change, doomed: false });
            Ok(())
        })
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.with(|inner, inode| {
            inner.alive()?;
            let room =
                inner.faults.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(inner.used()));
            let held = (inner.inodes[inode].current.len() as u64).max(inner.inodes[inode].allocated);
            if length.saturating_sub(held) > room {
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
            inner.inodes[inode].allocated = length;
            Ok(())
        })
    }
}
