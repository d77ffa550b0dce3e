//! What a child process does to itself between fork and exec: namespaces, user, limits.
//!
//! The only unsafe code of thirdrun. Everything here runs in the child, where only async-signal-safe
//! calls are allowed: bare system calls, no allocation.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::super::scope::Unprivileged;

/// How to confine a child.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Confinement {
    /// Whom it becomes.
    pub user: Option<Unprivileged>,
    /// It gets a network namespace of its own, with nothing but loopback.
    pub own_network: bool,
    /// It enters the network namespace of this process.
    pub join_network_of: Option<u32>,
    /// The kernel kills it when the thread that started it ends.
    pub dies_with_parent: bool,
    /// It leads a process group of its own.
    pub own_group: bool,
    /// What it and its children may use.
    pub limits: Option<Limits>,
    /// It may read every file, as root could: a script in a directory that only root can enter.
    pub reads_everything: bool,
}

/// What a program may use, against one that would take the machine with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Processes and threads of its user, those that are there already among them (setrlimit(2) counts no
    /// other way).
    pub processes: u64,
    /// Bytes of memory of each process.
    pub memory: u64,
    /// Bytes of each file that it writes.
    pub file: u64,
}

/// Adds the confinement to a command.
pub(super) fn apply(command: &mut Command, confinement: Confinement) {
    if confinement.own_group {
        command.process_group(0);
    }
    #[cfg(target_os = "linux")]
    {
        let plan = linux::Plan::new(confinement);
        // SAFETY: the closure makes system calls only; what it needs was prepared before the fork.
        unsafe {
            command.pre_exec(move || plan.carry_out());
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        if confinement.own_network || confinement.join_network_of.is_some() {
            // SAFETY: the closure only returns an error.
            unsafe {
                command.pre_exec(|| Err(io::Error::from(io::ErrorKind::Unsupported)));
            }
        }
        if let Some(user) = confinement.user {
            command.uid(user.uid).gid(user.gid);
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::CString;

    use super::{Confinement, io};

    /// A confinement with every string ready for the system calls.
    pub(super) struct Plan {
        confinement: Confinement,
        root: bool,
        uid_map: CString,
        gid_map: CString,
        user_namespace: Option<CString>,
        network_namespace: Option<CString>,
    }

    impl Plan {
        pub(super) fn new(confinement: Confinement) -> Self {
            let uid = rustix::process::geteuid().as_raw();
            let gid = rustix::process::getegid().as_raw();
            let text = |text: String| CString::new(text).unwrap_or_default();
            let namespace =
                |kind: &str| confinement.join_network_of.map(|pid| text(format!("/proc/{pid}/ns/{kind}")));
            Self {
                confinement,
                root: uid == 0,
                uid_map: text(format!("{uid} {uid} 1")),
                gid_map: text(format!("{gid} {gid} 1")),
                user_namespace: namespace("user"),
                network_namespace: namespace("net"),
            }
        }

        pub(super) fn carry_out(&self) -> io::Result<()> {
            if self.confinement.own_network {
                self.make_network()?;
            }
            self.join_network()?;
            if let Some(user) = self.confinement.user {
                become_user(user.uid, user.gid, self.confinement.reads_everything)?;
            }
            limit(libc::RLIMIT_CORE, 0)?;
            if let Some(limits) = &self.confinement.limits {
                limit(libc::RLIMIT_NPROC, limits.processes)?;
                // What a process reserves and never touches is not counted, unlike by RLIMIT_AS.
                limit(libc::RLIMIT_DATA, limits.memory)?;
                limit(libc::RLIMIT_FSIZE, limits.file)?;
            }
            // SAFETY: prctl with constant arguments.
            unsafe {
                check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
                if self.confinement.dies_with_parent {
                    // After the change of user, which clears it (prctl(2)).
                    check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0))?;
                }
            }
            Ok(())
        }

        fn make_network(&self) -> io::Result<()> {
            // SAFETY: unshare takes flags only.
            unsafe {
                if self.root {
                    check(libc::unshare(libc::CLONE_NEWNET))?;
                } else {
                    check(libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET))?;
                    write_file(c"/proc/self/setgroups", c"deny")?;
                    write_file(c"/proc/self/uid_map", &self.uid_map)?;
                    write_file(c"/proc/self/gid_map", &self.gid_map)?;
                }
            }
            loopback_up()
        }

        fn join_network(&self) -> io::Result<()> {
            if !self.root
                && let Some(path) = &self.user_namespace
            {
                enter(path, libc::CLONE_NEWUSER)?;
            }
            if let Some(path) = &self.network_namespace {
                enter(path, libc::CLONE_NEWNET)?;
            }
            Ok(())
        }
    }

    fn check(result: libc::c_int) -> io::Result<()> {
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn limit(resource: libc::__rlimit_resource_t, most: libc::rlim_t) -> io::Result<()> {
        // SAFETY: the structs live through their calls.
        unsafe {
            let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            check(libc::getrlimit(resource, &raw mut now))?;
            // Nobody but root may raise a limit that is lower already.
            let most = most.min(now.rlim_max);
            let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
            check(libc::setrlimit(resource, &raw const limit))
        }
    }

    fn enter(path: &CString, kind: libc::c_int) -> io::Result<()> {
        // SAFETY: the path is a C string; the descriptor is closed again.
        unsafe {
            let file = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            check(file)?;
            let entered = check(libc::setns(file, kind));
            libc::close(file);
            entered
        }
    }

    fn write_file(path: &std::ffi::CStr, text: &std::ffi::CStr) -> io::Result<()> {
        // SAFETY: both are C strings; the descriptor is closed again.
        unsafe {
            let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            check(file)?;
            let bytes = text.to_bytes();
            let written = libc::write(file, bytes.as_ptr().cast(), bytes.len());
            let failure = io::Error::last_os_error();
            libc::close(file);
            if written < 0 { Err(failure) } else { Ok(()) }
        }
    }

    /// `ip link set lo up` in the new namespace.
    fn loopback_up() -> io::Result<()> {
        // SAFETY: a zeroed ifreq is valid; the name fits; the descriptor is closed again.
        unsafe {
            let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
            check(socket)?;
            let mut request: libc::ifreq = std::mem::zeroed();
            for (to, from) in request.ifr_name.iter_mut().zip(b"lo\0") {
                *to = (*from).cast_signed();
            }
            #[allow(clippy::cast_possible_truncation)] // both flags are below 128
            {
                request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
            }
            let up = check(libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request));
            libc::close(socket);
            up
        }
    }

    /// `CAP_DAC_READ_SEARCH` of linux/capability.h, which the libc crate does not have.
    const CAP_DAC_READ_SEARCH: u32 = 2;
    /// `_LINUX_CAPABILITY_VERSION_3` of linux/capability.h.
    const CAPABILITY_VERSION: u32 = 0x2008_0522;

    #[repr(C)]
    struct CapHeader {
        version: u32,
        pid: i32,
    }

    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct CapData {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }

    /// Gives up root for good. What may be kept is the right to read files, nothing that writes.
    fn become_user(uid: u32, gid: u32, reads_everything: bool) -> io::Result<()> {
        // SAFETY: plain system calls; the structs live through theirs.
        unsafe {
            if reads_everything {
                check(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
            }
            check(libc::setgroups(0, std::ptr::null()))?;
            check(libc::setgid(gid))?;
            check(libc::setuid(uid))?;
            if reads_everything {
                let header = CapHeader { version: CAPABILITY_VERSION, pid: 0 };
                let bit = 1 << CAP_DAC_READ_SEARCH;
                let mut data = [CapData::default(); 2];
                if let Some(first) = data.first_mut() {
                    *first = CapData { effective: bit, permitted: bit, inheritable: bit };
                }
                if libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) < 0 {
                    return Err(io::Error::last_os_error());
                }
                check(libc::prctl(
                    libc::PR_CAP_AMBIENT,
                    libc::PR_CAP_AMBIENT_RAISE,
                    libc::c_ulong::from(CAP_DAC_READ_SEARCH),
                    0,
                    0,
                ))?;
            }
        }
        Ok(())
    }
}
