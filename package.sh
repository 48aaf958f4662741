#!/usr/bin/env bash
# Builds, tests and shows the Microsoft Sentinel App for ThreatConnect.
#
#   ./package.sh demo [--population FILE] [more options]   runs the product locally with its stand-ins; -h lists the options
#   ./package.sh test                                      checks everything: lint, package, all tests
#   ./package.sh test [go test options] [packages]         runs these tests alone: ./package.sh test -run TestName ./app/store
#   ./package.sh lint                                      checks dependencies, form and code without running a test
#   ./package.sh bench [options]                           builds the package and measures updates; -h lists the options
#   ./package.sh generate                                  writes the generated code anew, from *.templ and *.proto
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

demo() {
  build
  say "Starting the stand-ins and the App"
  go build -o "$target/bin/demo" ./app/tools/demo
  exec "$target/bin/demo" -package "$target/TCVA_-_Microsoft_Sentinel_v1.tcx" -state .demo "$@"
}

# install_apt_packages installs the packages whose command or file is not there.
install_apt_packages() {
  local missing=() want have
  while read -r want have; do
    { command -v "$have" || [ -e "$have" ]; } >/dev/null 2>&1 || missing+=("$want")
  done <<'LIST'
chromium chromium
mosquitto /usr/sbin/mosquitto
mosquitto-dev /usr/include/mosquitto_plugin.h
libmosquitto-dev /usr/include/mosquitto.h
redis-server redis-server
openssl openssl
protobuf-compiler protoc
LIST
  python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
  [ ${#missing[@]} -gt 0 ] || return 0
  say "Installing ${missing[*]}"
  local sudo=
  [ "$(id -u)" = 0 ] || sudo="sudo -n"
  command -v apt-get >/dev/null 2>&1 || fail "the tests need ${missing[*]} (names as in Debian), and there is no apt-get here: install them by hand; without them the tests of the browser, the broker, the store and the generated code cannot run"
  { $sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qy --no-install-recommends "${missing[@]}"; } >"$tools/apt.log" 2>&1 ||
    fail "apt-get could not install ${missing[*]} (see $tools/apt.log): install them by hand; without them the tests of the browser, the broker, the store and the generated code cannot run"
}

# install_python_tools installs the validators that stand for OASIS and for ThreatConnect, and Microsoft's client.
install_python_tools() {
  local list=(stix2-validator==3.3.2 stix2-patterns==2.1.2 stix2-matcher==3.0.0 tcex-cli==2.0.0 vermin==1.9.2
    azure-identity==1.27.0 azure-core==1.41.0)
  [ "$(cat "$venv/installed" 2>/dev/null)" != "${list[*]}" ] || return 0
  say "Installing ${list[*]}"
  rm -rf "$venv"
  python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check "${list[@]}" >"$tools/pip.log" 2>&1 ||
    fail "pip could not install ${list[*]} (see $tools/pip.log; tcex-cli needs Python 3.11 or later): without them the tests of mappings and package cannot run"
  echo "${list[*]}" >"$venv/installed"
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
  say "Checking dependencies: go mod"
  go mod verify
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

# run_tests runs everything, or only what its arguments name.
run_tests() {
  need_compilers
  [ $# -gt 0 ] || lint
  mkdir -p "$tools"
  install_apt_packages
  install_python_tools
  install_generators
  build
  export MS_SENTINEL_PACKAGE=$target/TCVA_-_Microsoft_Sentinel_v1.tcx
  export MS_SENTINEL_PYTHON=$venv/bin/python
  export MS_SENTINEL_TCEX=$venv/bin/tcex
  local packages=(./...) argument
  for argument in "$@"; do
    case "$argument" in ./* | mssentinel/*) packages=() ;; esac
  done
  say "Running the tests"
  go test -race -timeout 40m "$@" "${packages[@]}"
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
build | generate | lint) without_arguments "$@" ;;
-h | --help | help) usage ;;
*)
  usage >&2
  exit 2
  ;;
esac
