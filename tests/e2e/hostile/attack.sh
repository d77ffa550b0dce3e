# Tries to reach what no candidate may reach, and says what it reached. POSIX, since the server runs it by sh -c.
# What is between two @ is put in before it runs.
canary=@CANARY@ port=@PORT@ secret=@SECRET@
reached() { echo "REACHED $*"; }

# A network: a port of this machine that listens on every address.
for host in 127.0.0.1 172.17.0.1 $(hostname -I 2>/dev/null) $(ip route 2>/dev/null | sed -n 's/^default via \([^ ]*\).*/\1/p'); do
  timeout 2 bash -c "exec 3<>/dev/tcp/$host/$port" 2>/dev/null && reached "$host:$port"
done

# A file of this machine, and one that could be made there: whether it was is seen outside.
[ -r "$canary" ] && reached "the file $canary"
for place in @PLACES@; do
  (: > "$place/@MARK@") 2>/dev/null
done

# Sockets of other servers: engines, and databases where they usually are.
for socket in /var/run/docker.sock /run/docker.sock /run/containerd/containerd.sock /var/run/docker/containerd/containerd.sock \
  /tmp/.s.PGSQL.54399 /var/run/postgresql/.s.PGSQL.*; do
  [ -S "$socket" ] && reached "the socket $socket"
done

# Other sandboxes: their directories, and their servers.
for other in /dev/shm/thirdrun-* /tmp/thirdrun-*; do
  [ -S "$other/socket/.s.PGSQL.5432" ] || [ -S "$other/shared/.s.PGSQL.5432" ] || continue
  case "$PGPASSFILE $(pwd)" in *"$other"*) ;; *) reached "the sandbox $other" ;; esac
done

# Variables of the caller, and processes that are not the sandbox's.
for process in $(grep -l "$secret" /proc/[0-9]*/environ 2>/dev/null); do
  reached "a variable of $process"
done
for process in $(grep -l '[t]hirdrun.*check' /proc/[0-9]*/cmdline 2>/dev/null); do
  process=${process#/proc/}
  kill -0 "${process%/cmdline}" 2>/dev/null && reached "a signal to $process"
done

# What the caller had open.
for open in /proc/self/fd/*; do
  case "$(readlink "$open" 2>/dev/null)" in *"$canary"*) reached "an open file of the caller" ;; esac
done
echo tried
