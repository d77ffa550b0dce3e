//! Landlock: what a process forbids itself and all of its children, without any rights (landlock(7)).
//!
//! By the bare system calls, since it happens between fork and exec, where nothing may be allocated.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};

/// `LANDLOCK_ACCESS_FS_*` of linux/landlock.h that write, as of version 2: without `REFER` a process under Landlock could
/// not move a file to another directory at all, as PostgreSQL does.
const WRITES: u64 = 1 << 1
    | (1 << 4 | 1 << 5)
    | (1 << 6 | 1 << 7 | 1 << 8 | 1 << 9)
    | (1 << 10 | 1 << 11 | 1 << 12)
    | 1 << 13;
/// `LANDLOCK_ACCESS_FS_TRUNCATE`, of version 3.
const TRUNCATE: u64 = 1 << 14;
/// `LANDLOCK_ACCESS_NET_BIND_TCP` and `_CONNECT_TCP`, of version 4.
const TCP: u64 = 1 | 1 << 1;
const WITH_TCP: i64 = 4;
/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET` and `_SIGNAL`, of version 6.
const SCOPES: u64 = 1 | 1 << 1;
/// `LANDLOCK_CREATE_RULESET_VERSION`.
const VERSION: libc::c_uint = 1;
/// `LANDLOCK_RULE_PATH_BENEATH`.
const PATH_BENEATH: libc::c_int = 1;
/// The first version that has `REFER`.
const LEAST: i64 = 2;

/// `struct landlock_ruleset_attr`. A kernel takes a longer one than it knows where the rest is zero.
#[repr(C)]
struct Ruleset {
    fs: u64,
    net: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    parent: i32,
}

/// The version of the kernel's interface; below 1 where it has none, or it is switched off.
fn version() -> i64 {
    // SAFETY: without a struct it only tells the version.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<Ruleset>(), 0_usize, VERSION) }
}

/// Whether this kernel has enough of it.
pub(super) fn is_there() -> bool {
    version() >= LEAST
}

/// Whether it can refuse connections by TCP.
pub(super) fn denies_tcp() -> bool {
    version() >= WITH_TCP
}

/// From now on this process can write nowhere but in these directories and to devices, can signal only its own children,
/// and connect nowhere by TCP if that is denied too. Nothing happens where the kernel does not have enough of it.
pub(super) fn restrict<'a>(writable: impl Iterator<Item = &'a CStr>, deny_tcp: bool) -> io::Result<()> {
    let version = version();
    if version < LEAST {
        return Ok(());
    }
    let since = |least: i64, what: u64| if version >= least { what } else { 0 };
    let fs = WRITES | since(3, TRUNCATE);
    let net = if deny_tcp { since(WITH_TCP, TCP) } else { 0 };
    let ruleset = Ruleset { fs, net, scoped: since(6, SCOPES) };
    // SAFETY: the structs live through their calls; the descriptor is the kernel's new one.
    unsafe {
        let size = std::mem::size_of::<Ruleset>();
        let made = libc::syscall(libc::SYS_landlock_create_ruleset, &raw const ruleset, size, 0_u32);
        let ruleset = OwnedFd::from_raw_fd(i32::try_from(checked(made)?).unwrap_or(-1));
        for path in writable.chain([c"/dev"]) {
            let directory = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            let rule = Beneath { allowed: fs, parent: directory.as_raw_fd() };
            let (ruleset, rule) = (ruleset.as_raw_fd(), &raw const rule);
            checked(libc::syscall(libc::SYS_landlock_add_rule, ruleset, PATH_BENEATH, rule, 0_u32))?;
        }
        checked(libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0_u32))?;
    }
    Ok(())
}

fn checked(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
