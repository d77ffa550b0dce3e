//! What a child does about this machine's files: it sees them read-only, and writes in the sandbox and nowhere else.
//!
//! Two means, each where the kernel has it and needing no root: mounts of its own, in which everything is read-only and the
//! places that all processes share are replaced by private ones (mount_namespaces(7)); and Landlock, which denies it to
//! write elsewhere, to signal or look into processes that are not its own children, and, where it has no network of its
//! own, to connect (landlock(7)). Everything here runs between fork and exec, where only system calls are allowed.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::sync::atomic::Ordering;

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_change, move_mount,
    open_tree,
};

use super::landlock;
use super::shelter::{Mount, Shield};

impl Shield {
    /// Whether it needs a mount namespace of its own.
    pub(super) fn has_mounts(&self) -> bool {
        self.own
    }

    /// Replaces what is shared and makes everything else read-only. For a child that has a mount namespace of its own, in
    /// which nothing is shared with others any more, and the right to mount.
    pub(super) fn mount(&self) -> io::Result<()> {
        if !self.own {
            return Ok(());
        }
        // All of them before the first is in its place, since they cover each other.
        for mount in &self.mounts {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE
                | OpenTreeFlags::OPEN_TREE_CLOEXEC
                | OpenTreeFlags::AT_RECURSIVE;
            let tree = open_tree(CWD, mount.source.as_c_str(), flags)?;
            if !mount.writable {
                read_only(tree.as_raw_fd(), c"", libc::AT_EMPTY_PATH)?;
            }
            mount.tree.store(tree.into_raw_fd(), Ordering::Relaxed);
        }
        read_only(libc::AT_FDCWD, c"/", 0)?;
        for mount in &self.mounts {
            // SAFETY: the descriptor was opened above, and is closed here.
            let tree = unsafe { OwnedFd::from_raw_fd(mount.tree.swap(-1, Ordering::Relaxed)) };
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
            move_mount(&tree, c"", CWD, mount.target.as_c_str(), flags)?;
        }
        // It is in a directory of the machine's until now, which is covered.
        rustix::process::chdir(self.directory.as_c_str())?;
        Ok(())
    }

    /// Forbids itself what the mounts do not: for a child that will not mount anything any more. Without Landlock it does
    /// nothing.
    pub(super) fn restrict(&self) -> io::Result<()> {
        landlock::restrict(self.mounts.iter().filter(|mount| mount.writable).map(target), self.deny_tcp)
    }
}

fn target(mount: &Mount) -> &CStr {
    &mount.target
}

/// Nothing of it is shared with the mounts of others.
pub(super) fn private() -> io::Result<()> {
    Ok(mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?)
}

/// Mounts an overlay with these options.
pub(super) fn overlay(target: &CStr, options: &CStr) -> io::Result<()> {
    Ok(mount(c"overlay", target, c"overlay", MountFlags::empty(), options)?)
}

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    namespace: u64,
}

/// `MOUNT_ATTR_RDONLY` of linux/mount.h.
const READ_ONLY: u64 = 1;
/// `AT_RECURSIVE` of linux/fcntl.h.
const RECURSIVE: libc::c_int = 0x8000;

/// Makes a mount, and all below it, read-only (mount_setattr(2)).
fn read_only(at: libc::c_int, path: &CStr, flags: libc::c_int) -> io::Result<()> {
    let attributes = Attributes { set: READ_ONLY, clear: 0, propagation: 0, namespace: 0 };
    // SAFETY: the path is a C string, and the struct lives through the call.
    let done = unsafe {
        let size = std::mem::size_of::<Attributes>();
        libc::syscall(
            libc::SYS_mount_setattr,
            at,
            path.as_ptr(),
            flags | RECURSIVE,
            &raw const attributes,
            size,
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What is open in a child and not meant for it ends with its exec, whoever opened it and forgot to say so.
pub(super) fn close_at_exec() {
    const FIRST: libc::c_uint = 3;
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;
    // SAFETY: it only sets a flag of descriptors. A kernel before 5.11 does not know it: ours are closed there all the same.
    unsafe {
        libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC);
    }
}
