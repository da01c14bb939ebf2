//! Facts about the host and its processes, read only, through HostRoot.
