#!/usr/bin/env bash
# Builds, tests and shows the Microsoft Sentinel App for ThreatConnect.
#
#   ./package.sh demo [--population FILE] [more options]   runs the product locally with its stand-ins; -h lists the options
#   ./package.sh test                                      checks everything: lint, package, all tests, 10 s of every fuzz target
#   ./package.sh test [go test options] [packages]         runs these tests alone: ./package.sh test -run TestName ./app/store
#   ./package.sh fuzz [-fuzztime 10s] [FuzzName …]         has every fuzz target look for inputs that break it, as long as one likes
#   ./package.sh lint                                      checks dependencies, form and code without running a test
#   ./package.sh bench [options]                           builds the package and measures updates; -h lists the options
#   ./package.sh storybook [-addr HOST:PORT]               shows every screen in every state, with made-up data
#   ./package.sh pictures                                  takes the README's pictures of the storybook, with Chromium
#   ./package.sh generate                                  writes the generated code anew, from *.templ and *.proto, and Help from README and app/docs
#   ./package.sh plants [options] [NAME ...]               plants faults and says which seed finds each; -h lists the options
#   ./package.sh build                                     writes target/TCVA_-_Microsoft_Sentinel_v1.tcx
#
# MAPPERS='./my-mapper …' puts further mappers into the package. What this script installs for itself goes under .tools/,
# what it needs of the system it installs with apt-get where it can.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$root"
tools=$root/.tools
bin=$tools/bin
target=$(realpath -m "${TARGET:-target}") # where build writes
venv=$tools/venv

# One set of tags everywhere: with another, SQLite's C code is compiled again.
tags=netgo,osusergo,sqlite_omit_load_extension,grpcnotrace
export GOFLAGS="${GOFLAGS:-} -tags=$tags -buildvcs=false"
export CGO_ENABLED=1
# SQLite plans a statement once, not anew for each value that it is given, and does not count its memory, which takes a lock each time.
export CGO_CFLAGS='-O2 -g -DSQLITE_ENABLE_QPSG -DSQLITE_DEFAULT_MEMSTATUS=0'

say() { printf '\n== %s\n' "$*"; }
fail() {
  printf 'package.sh: %s\n' "$*" >&2
  exit 1
}

# need COMMAND REMEDY
need() { command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: $2"; }

need_compilers() {
  [ "$(uname -s)/$(uname -m)" = Linux/x86_64 ] || fail "this builds on Linux on x86-64, and this machine is $(uname -s)/$(uname -m)"
  need go "install Go $(sed -n 's/^go //p' go.mod) or later from your distribution or go.dev"
  need python3 "install Python 3 (Debian: apt-get install python3)"
  need "${CC:-cc}" "install a C compiler with its static C library (Debian: apt-get install gcc libc6-dev)"
  local probe
  probe=$(mktemp -d)
  printf 'int main(void){return 0;}\n' >"$probe/probe.c"
  "${CC:-cc}" -static -o "$probe/probe" "$probe/probe.c" 2>/dev/null ||
    { rm -rf "$probe"; fail "the C compiler cannot link statically: install the static C library (Debian: apt-get install libc6-dev)"; }
  rm -rf "$probe"
}

version() { sed -n 's/.*"programVersion": *"\([^"]*\)".*/\1/p' install.json; }

# compile OUTPUT PACKAGE builds an executable that needs nothing of the machine it runs on.
compile() {
  go build -trimpath -o "$1" -ldflags "-s -w -X main.version=$(version) -linkmode external -extldflags -static" "$2"
}

build() {
  need_compilers
  say "Building the App and the mappers, version $(version) (the first time takes minutes: SQLite is compiled)"
  mkdir -p "$target/bin"
  compile "$target/bin/app" ./app
  compile "$target/bin/mappers" ./plugins
  say "Writing the package"
  # shellcheck disable=SC2086 # MAPPERS is a list of paths
  go run ./app/tools/package -executables "$target/bin" -target "$target" ${MAPPERS:-}
}

bench() {
  build
  say "Measuring"
  go run ./app/tools/bench -app "$target/TCVA_-_Microsoft_Sentinel_v1" "$@"
}

plants() {
  need_compilers
  mkdir -p "$target/bin"
  go build -o "$target/bin/plants" ./app/tools/plants
  exec "$target/bin/plants" "$@"
}

demo() {
  build
  say "Starting the stand-ins and the App"
  go build -o "$target/bin/demo" ./app/tools/demo
  exec "$target/bin/demo" -package "$target/TCVA_-_Microsoft_Sentinel_v1.tcx" -state .demo "$@"
}

storybook() {
  need_compilers
  say "Starting the storybook"
  exec go run ./app/tools/storybook "$@"
}

pictures() {
  need_compilers
  need chromium "install Chromium (Debian: apt-get install chromium)"
  say "Taking the README's pictures"
  go run ./app/tools/storybook -pictures templates/docs
}

# install_apt_packages installs the packages whose command or file is not there.
install_apt_packages() {
  local missing=() want have
  while read -r want have; do
    { command -v "$have" || [ -e "$have" ]; } >/dev/null 2>&1 || missing+=("$want")
  done <<'LIST'
chromium chromium
firefox-esr firefox-esr
mosquitto /usr/sbin/mosquitto
mosquitto-dev /usr/include/mosquitto_plugin.h
libmosquitto-dev /usr/include/mosquitto.h
redis-server redis-server
openssl openssl
nodejs node
npm npm
protobuf-compiler protoc
LIST
  python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
  [ ${#missing[@]} -gt 0 ] || return 0
  say "Installing ${missing[*]}"
  local sudo=
  [ "$(id -u)" = 0 ] || sudo="sudo -n"
  command -v apt-get >/dev/null 2>&1 || fail "the tests need ${missing[*]} (names as in Debian), and there is no apt-get here: install them by hand; without them the tests of the browser, the broker, the store, the queries and the generated code cannot run"
  { $sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qy --no-install-recommends "${missing[@]}"; } >"$tools/apt.log" 2>&1 ||
    fail "apt-get could not install ${missing[*]} (see $tools/apt.log): install them by hand; without them the tests of the browser, the broker, the store, the queries and the generated code cannot run"
}

# install_python_tools installs the validators that stand for OASIS and for ThreatConnect, Microsoft's client, an engine that runs
# KQL, what a mapper in Python needs, and both versions of ThreatConnect's framework: each of these wants an environment of its own, for they
# want different versions of pydantic.
install_python_tools() {
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "the tests need Python 3.11 or later, as ThreatConnect's tools do, and this is $(python3 --version): install one, and put it first on the PATH as python3"
  install_python_packages "$venv" stix2-validator==3.3.2 stix2-patterns==2.1.2 stix2-matcher==3.0.0 tcex-cli==2.0.0 vermin==1.9.2 \
    azure-identity==1.27.0 azure-core==1.41.0 azure-monitor-query==2.0.0 'duckdb-kql[duckdb]==1.1.2' duckdb==2.0.1
  local with=(paho-mqtt==2.1.0 redis==8.0.1 requests==2.34.2 urllib3==2.8.0 arrow==1.4.0 wrapt==2.2.2)
  # shellcheck disable=SC2046 # a list of requirements
  install_python_packages "$tools/grpc" $(grep -v '^#' plugins/mapper/python/requirements.txt)
  install_python_packages "$tools/tcex5" tcex==5.0.0 pydantic==2.14.4 "${with[@]}"
  install_python_packages "$tools/tcex4" tcex==4.0.11 pydantic==1.10.27 "${with[@]}"
}

# install_python_packages FOLDER REQUIREMENT … makes the environment FOLDER anew, unless it has been made of these already.
install_python_packages() {
  local folder=$1
  shift
  [ "$(cat "$folder/installed" 2>/dev/null)" != "$*" ] || return 0
  say "Installing $*"
  rm -rf "$folder"
  python3 -m venv "$folder" && "$folder/bin/pip" install --quiet --disable-pip-version-check "$@" >"$tools/pip.log" 2>&1 ||
    fail "pip could not install $* (see $tools/pip.log): without them the tests of mappings, package, platform, queries and stand-ins cannot run"
  echo "$*" >"$folder/installed"
}

# install_node_tools installs Microsoft's language service for KQL, and the rules of accessibility that a browser's tests apply.
install_node_tools() {
  local packages=(@kusto/language-service-next@12.4.1 axe-core@4.14.1)
  [ "$(cat "$tools/node/installed" 2>/dev/null)" != "${packages[*]}" ] || return 0
  need node "install Node.js 18 or later (Debian: apt-get install nodejs); without it the test that binds the queries to the table cannot run"
  need npm "install npm (Debian: apt-get install npm); without it the tests of the queries and of accessibility cannot run"
  say "Installing ${packages[*]}"
  rm -rf "$tools/node"
  mkdir -p "$tools/node"
  npm install --prefix "$tools/node" --no-save --no-package-lock --no-audit --no-fund --ignore-scripts "${packages[@]}" >"$tools/npm.log" 2>&1 ||
    fail "npm could not install ${packages[*]} (see $tools/npm.log): without them the tests of the queries and of accessibility cannot run"
  echo "${packages[*]}" >"$tools/node/installed"
}

# pinned MODULE prints the version that go.mod pins, so that code and its generator move together.
pinned() { go list -m -f '{{.Version}}' "$1"; }

# install_go_tool NAME PACKAGE@VERSION
install_go_tool() {
  [ "$(cat "$bin/$1.version" 2>/dev/null)" != "$2" ] || return 0
  say "Installing $2 (this may take minutes)"
  GOBIN=$bin GOFLAGS= go install "$2" || fail "go install $2 failed: is the Go module proxy within reach?"
  echo "$2" >"$bin/$1.version"
}

install_generators() {
  install_go_tool templ github.com/a-h/templ/cmd/templ@"$(pinned github.com/a-h/templ)"
  install_go_tool protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go@"$(pinned google.golang.org/protobuf)"
  install_go_tool protoc-gen-go-grpc google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
}

lint() {
  need_compilers
  install_go_tool golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
  say "Checking dependencies: go mod, app/docs/dependencies.md"
  go mod verify
  go run ./app/tools/dependencies
  go mod tidy -diff || fail "go.mod or go.sum is not tidy: run go mod tidy"
  say "Checking form and code: gofmt, go vet, staticcheck and more (.golangci.yml)"
  golangci-lint run --allow-parallel-runners ./... || fail "put right what stands above; $bin/golangci-lint run --fix does some of it"
}

generate() {
  need_compilers
  need protoc "install the compiler of protocol buffers (Debian: apt-get install protobuf-compiler)"
  install_generators
  say "Writing the generated code"
  go generate ./...
}

# list_fuzz_targets prints the name and the folder of each fuzz target.
list_fuzz_targets() {
  grep -roE '^func Fuzz[A-Za-z0-9]*\(f \*testing\.F\)' --include='*_test.go' app plugins templates |
    sed -E 's|^(.*)/[^/]*:func (Fuzz[A-Za-z0-9]*).*|\2 \1|' | sort
}

# fuzz_target DURATION NAME FOLDER looks for inputs that break one target. What it finds it keeps in the corpus, testdata/fuzz.
# When the time is up within an input, the testing package says "context deadline exceeded" and fails, though nothing is wrong.
fuzz_target() {
  local program=$tools/fuzz/${3//\//-}.test log=$tools/fuzz/${3//\//-}-$2.log
  if (cd "$3" && "$program" -test.run='^$' -test.fuzz="^$2\$" -test.fuzztime="$1" -test.parallel=1 -test.fuzzminimizetime=300x \
    -test.fuzzcachedir="$tools/fuzz/inputs/$3") >"$log" 2>&1 ||
    { grep -q '^ *context deadline exceeded$' "$log" && ! grep -qE 'Failing input|panic:|_test\.go:' "$log"; }; then
    printf '%-20s %-24s %s\n' "$2" "$3" "$(grep -aoE 'execs: [0-9]+' "$log" | tail -1 | cut -d' ' -f2) inputs"
  else
    printf '%s in %s found something; once it is mended, the input stays as a test:\n' "$2" "$3"
    tail -n 60 "$log"
    return 1
  fi
}

# fuzz builds the targets so that those who choose inputs see which of our code they reach, and runs as many at once as there
# are processors. Compiling the libraries in the same way would take minutes, and find nothing of ours.
fuzz() {
  local duration=10s targets
  [ "${1:-}" != -fuzztime ] || { duration=${2:?say how long, such as 10s}; shift 2; }
  targets=$(list_fuzz_targets)
  [ $# -eq 0 ] || targets=$(printf '%s\n' "$@" | sort -u | join - <(printf '%s\n' "$targets"))
  [ -n "$targets" ] || fail "no fuzz target is called $*: $(list_fuzz_targets | cut -d' ' -f1 | tr '\n' ' ')"
  need_compilers
  install_python_tools
  say "Building the fuzz targets"
  mkdir -p "$tools/fuzz"
  local folder
  for folder in $(cut -d' ' -f2 <<<"$targets" | sort -u); do
    go test -c -trimpath -gcflags='mssentinel/...=-d=libfuzzer' -o "$tools/fuzz/${folder//\//-}.test" "./$folder"
  done
  say "Looking for inputs that break them, $duration each"
  export tools MS_SENTINEL_PYTHON=$venv/bin/python
  export -f fuzz_target
  # shellcheck disable=SC2016 # the inner shell expands them
  xargs -P "$(nproc)" -L 1 bash -c 'fuzz_target "$@"' fuzz "$duration" <<<"$targets" || fail "the targets above found inputs that break them"
}

# run_tests runs everything, or only what its arguments name.
run_tests() {
  need_compilers
  [ $# -gt 0 ] || lint
  mkdir -p "$tools"
  install_apt_packages
  install_python_tools
  install_node_tools
  install_generators
  build
  export MS_SENTINEL_PACKAGE=$target/TCVA_-_Microsoft_Sentinel_v1.tcx
  export MS_SENTINEL_PYTHON=$venv/bin/python
  export MS_SENTINEL_TCEX=$venv/bin/tcex
  export MS_SENTINEL_KUSTO=$tools/node/node_modules/@kusto/language-service-next
  export MS_SENTINEL_AXE=$tools/node/node_modules/axe-core
  export MS_SENTINEL_GRPC=$tools/grpc/bin/python
  export MS_SENTINEL_TCEX5=$tools/tcex5/bin/python
  export MS_SENTINEL_TCEX4=$tools/tcex4/bin/python
  local packages=(./...) argument
  for argument in "$@"; do
    case "$argument" in ./* | mssentinel/*) packages=() ;; esac
  done
  say "Running the tests"
  go test -race -timeout 20m "$@" "${packages[@]}"
  [ $# -gt 0 ] || go test -timeout 20m ./app/simulation # most histories, without the race detector
  [ $# -gt 0 ] || fuzz
}

# without_arguments COMMAND [ARGUMENT …]
without_arguments() {
  [ $# -eq 1 ] || fail "$1 takes no more arguments, and \"$2\" is one"
  "$1"
}

# usage prints the comment at the top of this file.
usage() { sed -n '2,/^set /{ s/^# \{0,1\}//p; }' "$0"; }

export PATH=$bin:$PATH
case "${1:-}" in
demo) shift && demo "$@" ;;
test) shift && run_tests "$@" ;;
bench) shift && bench "$@" ;;
fuzz) shift && fuzz "$@" ;;
storybook) shift && storybook "$@" ;;
build | generate | lint | pictures) without_arguments "$@" ;;
plants) shift && plants "$@" ;;
-h | --help | help) usage ;;
*)
  usage >&2
  exit 2
  ;;
esac
