//! What a child process does to itself between fork and exec: namespaces, user, limits.
//!
//! The only unsafe code of thirdrun. Everything here runs in the child, where only async-signal-safe
//! calls are allowed: bare system calls, no allocation.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use super::super::scope::Unprivileged;
use super::shelter::Shield;

/// How to confine a child.
#[derive(Debug, Clone, Default)]
pub(super) struct Confinement {
    /// Whom it becomes.
    pub user: Option<Unprivileged>,
    /// It gets a network namespace of its own, with nothing but loopback.
    pub own_network: bool,
    /// It gets System V shared memory of its own, where the kernel allows that. A server that is killed cannot
    /// remove its segment; so it goes with the last of its processes.
    pub own_memory: bool,
    /// It sees these layers as one directory, and nobody else does.
    pub layers: Option<Layers>,
    /// What it sees of this machine's files, and where it may write; none: as its user.
    pub shield: Option<Arc<Shield>>,
    /// It enters the network namespace of this process.
    pub join_network_of: Option<u32>,
    /// The kernel kills it when the thread that started it ends.
    pub dies_with_parent: bool,
    /// It leads a session and a process group of its own: it is killed with all of its children, and none of
    /// them can ask for a password at the caller's terminal.
    pub own_session: bool,
    /// What it and its children may use.
    pub limits: Option<Limits>,
    /// It may read every file, as root could: a script in a directory that only root can enter.
    pub reads_everything: bool,
}

/// The layers of an overlay (the kernel's filesystems/overlayfs.rst).
#[derive(Debug, Clone)]
pub(super) struct Layers {
    /// What is read.
    pub lower: PathBuf,
    /// Where changes go.
    pub upper: PathBuf,
    /// The kernel's own, empty, on the same file system as `upper`.
    pub work: PathBuf,
    /// Where all of it is seen.
    pub target: PathBuf,
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
    if confinement.own_session {
        // SAFETY: the closure makes one system call.
        unsafe {
            command.pre_exec(|| if libc::setsid() < 0 { Err(io::Error::last_os_error()) } else { Ok(()) });
        }
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
        let namespaces = confinement.own_network || confinement.layers.is_some();
        if namespaces || confinement.join_network_of.is_some() {
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

    use super::super::shield;
    use super::{Confinement, Layers, io};

    /// A confinement with every string ready for the system calls.
    pub(super) struct Plan {
        confinement: Confinement,
        root: bool,
        uid_map: CString,
        gid_map: CString,
        user_namespace: Option<CString>,
        network_namespace: Option<CString>,
        /// Where an overlay is seen, and its options.
        overlay: Option<(CString, CString)>,
    }

    impl Plan {
        pub(super) fn new(confinement: Confinement) -> Self {
            let uid = rustix::process::geteuid().as_raw();
            let gid = rustix::process::getegid().as_raw();
            let text = |text: String| CString::new(text).unwrap_or_default();
            let joined = confinement.join_network_of;
            let namespace = |kind: &str| joined.map(|pid| text(format!("/proc/{pid}/ns/{kind}")));
            let root = uid == 0;
            let overlay = confinement.layers.as_ref().map(|layers| {
                (text(layers.target.to_string_lossy().into_owned()), text(options(layers, root)))
            });
            Self {
                confinement,
                root,
                overlay,
                uid_map: text(format!("{uid} {uid} 1")),
                gid_map: text(format!("{gid} {gid} 1")),
                user_namespace: namespace("user"),
                network_namespace: namespace("net"),
            }
        }

        pub(super) fn carry_out(&self) -> io::Result<()> {
            shield::close_at_exec();
            self.join_network()?;
            self.make_namespaces()?;
            if self.confinement.own_memory {
                // SAFETY: unshare takes flags only. Where it is refused, what is left of a killed server stays.
                let _ = unsafe { libc::unshare(libc::CLONE_NEWIPC) };
            }
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
            // Last: it forbids what was done before.
            self.confinement.shield.as_ref().map_or(Ok(()), |shield| shield.restrict())
        }

        fn make_namespaces(&self) -> io::Result<()> {
            let network = if self.confinement.own_network { libc::CLONE_NEWNET } else { 0 };
            let shield = self.confinement.shield.as_ref().filter(|shield| shield.has_mounts());
            let mounts = if self.overlay.is_some() || shield.is_some() { libc::CLONE_NEWNS } else { 0 };
            if network | mounts == 0 {
                return Ok(());
            }
            // Who has joined another's user namespace has its rights there.
            let user = if self.root || self.user_namespace.is_some() { 0 } else { libc::CLONE_NEWUSER };
            // SAFETY: unshare takes flags only.
            check(unsafe { libc::unshare(network | mounts | user) })?;
            if user != 0 {
                write_file(c"/proc/self/setgroups", c"deny")?;
                write_file(c"/proc/self/uid_map", &self.uid_map)?;
                write_file(c"/proc/self/gid_map", &self.gid_map)?;
            }
            if mounts != 0 {
                shield::private()?;
            }
            if let Some((target, options)) = &self.overlay {
                shield::overlay(target, options)?;
            }
            if let Some(shield) = shield {
                shield.mount()?;
            }
            if network != 0 { loopback_up() } else { Ok(()) }
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

    /// The mount options of an overlay. In a user namespace its own notes must be of a kind that a user may
    /// write.
    fn options(layers: &Layers, root: bool) -> String {
        let path = |path: &std::path::Path| {
            let mut escaped = String::new();
            for c in path.to_string_lossy().chars() {
                if matches!(c, ',' | ':' | '\\') {
                    escaped.push('\\');
                }
                escaped.push(c);
            }
            escaped
        };
        let (lower, upper, work) = (path(&layers.lower), path(&layers.upper), path(&layers.work));
        let kind = if root { "" } else { ",userxattr" };
        format!("lowerdir={lower},upperdir={upper},workdir={work}{kind}")
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
