"""Start the Microsoft Sentinel App.

ThreatConnect starts Apps with Python; this one is a compiled program named "app", beside this file. The process is
replaced by it, so that process id, exit code, input and output stay those that ThreatConnect knows. The parameter
file can be read once only and is left to the program.

Installation may lose the right to execute, and the folder may lie where nothing can be executed. So the program is tried
where it is, then as a private copy in the temporary folder or beside itself, then from memory. Copies leave nothing behind.
"""

import os
import platform
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, "app")
ARGUMENTS = [PROGRAM, "run"]


def allow_execution(name):
    """Set the run bits of a file of ours and say what became of them; without the right to do so a copy will be used."""
    path = os.path.join(HERE, name)
    try:
        mode = os.stat(path).st_mode
        if mode & 0o555 == 0o555:
            return "kept"
        os.chmod(path, mode | 0o555)
        return "lost and set"
    except OSError:
        return "lost"


def working_folder():
    try:
        return "the App's" if os.path.samefile(os.curdir, HERE) else "another"
    except OSError:
        return "one that is gone"


def run_in_place():
    os.execv(PROGRAM, ARGUMENTS)


def run_copy(parent=None):
    """Execute a copy that only this user can reach, through a descriptor, and with its name already removed."""
    folder = tempfile.mkdtemp(prefix="ms-sentinel-", dir=parent)
    try:
        os.chmod(folder, 0o700)
        copy = os.path.join(folder, "app")
        shutil.copyfile(PROGRAM, copy)
        os.chmod(copy, 0o500)
        descriptor = os.open(copy, os.O_RDONLY)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        os.execve(descriptor, ARGUMENTS, os.environ)
    finally:
        os.close(descriptor)


def run_from_memory():
    create = getattr(os, "memfd_create", None)  # since Python 3.8
    if create is None:
        raise OSError("this Python cannot execute from memory")
    descriptor = create("app")
    with open(PROGRAM, "rb") as source, os.fdopen(os.dup(descriptor), "wb") as target:
        shutil.copyfileobj(source, target)
    os.execve(descriptor, ARGUMENTS, os.environ)


def main():
    machine = "%s/%s" % (platform.system(), platform.machine())
    if machine.lower() not in ("linux/x86_64", "linux/amd64"):
        sys.exit("Microsoft Sentinel App: this package runs on Linux on x86-64 only, and this machine is " + machine)
    if not os.path.isfile(PROGRAM):
        sys.exit("Microsoft Sentinel App: the program is missing: " + PROGRAM + ". Install the package again")
    folder = working_folder()
    os.chdir(HERE)
    bits = [allow_execution(name) for name in ("app", "mappers")][0]
    reasons = []
    for way, attempt in (
        ("in place", run_in_place),
        ("as a temporary copy", run_copy),
        ("as a copy in " + HERE, lambda: run_copy(HERE)),
        ("from memory", run_from_memory),
    ):
        # The program's doctor tells it.
        os.environ["MS_SENTINEL_LAUNCH"] = "python=%s;way=%s;arguments=%d;folder=%s;bits=%s" % (
            platform.python_version(), way.replace(HERE, "the App's folder"), len(sys.argv) - 1, folder, bits)
        try:
            attempt()
        except OSError as err:
            reasons.append("%s: %s" % (way, err))
    sys.exit("Microsoft Sentinel App: the program could not be started (" + "; ".join(reasons) + ")")


if __name__ == "__main__":
    main()
