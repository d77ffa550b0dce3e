# Makes the cluster unless it is there, and becomes the server. A container's file system cannot be written to: the cluster
# is in memory, which has a limit. An image of ours has a cluster ready, and that of a clone has the clone, each as one file:
# of a layer many small files are read slowly.
#
# $1  the cluster's directory
# $2  its bootstrap superuser
# $3  the directory of the configuration
# $4  "keep": when the server stops for the first time, its cluster is put there as a file, and it starts again
# the rest is the server's
set -e
umask 077
share=/usr/local/share/thirdrun
if [ ! -s "$1/PG_VERSION" ]; then
  mkdir -p "$1"
  if [ -f "$share/clone.tar" ]; then
    tar -C "$1" -xf "$share/clone.tar"
  else
    if [ "$2" = postgres ] && [ -f "$share/cluster.tar" ]; then
      tar -C "$1" -xf "$share/cluster.tar"
    else
      initdb -D "$1" -U "$2" -A trust -E UTF8 --locale=C.UTF-8 --no-sync --wal-segsize=1 >&2 ||
        { rm -rf "$1"; initdb -D "$1" -U "$2" -A trust -E UTF8 --locale=C --no-sync --wal-segsize=1 >&2; }
    fi
    cat "$3/settings.conf" >> "$1/postgresql.conf"
  fi
fi
if [ -f "$3/first.sql" ]; then postgres --single -D "$1" postgres < "$3/first.sql" >/dev/null; fi
data=$1
config=$3
keep=$4
shift 4
if [ -n "$keep" ]; then
  postgres -D "$data" "$@" </dev/null || exit
  # Whoever runs thirdrun reads them, and nobody else can reach the directory. What is uploaded into a container is unpacked
  # there, so that it is a file in a file.
  umask 022
  if mkdir -p "$config/upload/thirdrun" && tar -C "$data" -cf "$config/upload/thirdrun/clone.tar" . &&
    tar -C "$config/upload" -cf "$config/clone.tar" thirdrun; then
    said=copied
  else
    said=failed
  fi
  rm -rf "$config/upload"
  echo "$said" > "$config/copy"
  umask 077
fi
exec postgres -D "$data" "$@"
