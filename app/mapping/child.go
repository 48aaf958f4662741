package mapping

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin/runner"
	"golang.org/x/sys/unix"
)

// child is the operating system's side of a mapper. go-plugin's own one would pass on the App's standard input, and
// would wait for ever on the pipes of a mapper that left a process of its own behind.
type child struct {
	path    string
	args    []string
	tempDir string
	// certificate is that of the App, as PEM: the only one that the mapper may accept.
	certificate string
	// printed gets what the mapper prints to its real standard output and error; nil for nobody.
	printed *prints

	cmd            *exec.Cmd
	ctx            context.Context // ends with killGroup
	cancel         context.CancelFunc
	stdout, stderr io.ReadCloser
	// exited is closed when the process is gone; ended then says how, for example "exit status 3".
	exited chan struct{}
	ended  string
	// swept is closed when nothing of the process's group runs any more.
	swept chan struct{}
}

func newChild(path string, args []string, tempDir string) *child {
	c := &child{path: path, args: args, tempDir: tempDir, exited: make(chan struct{}), swept: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// prepareCommand is go-plugin's RunnerFunc. template carries go-plugin's own variables and nothing else; the mapper
// gets five more. One thread is enough for a mapper, whose work comes in few calls at once. That, a heap that is collected at half the
// usual growth, and no samples of what is allocated keep its memory down, for a sixth more of its processor time.
func (c *child) prepareCommand(_ hclog.Logger, template *exec.Cmd, _ string) (runner.Runner, error) {
	c.cmd = exec.CommandContext(c.ctx, c.path, c.args...)
	c.cmd.Env = append(template.Env, clientCertVariable+"="+c.certificate, "TMPDIR="+c.tempDir, "GOMAXPROCS=1", "GOGC=50", "GODEBUG=memprofilerate=0")
	c.cmd.Dir = c.tempDir
	// A group of its own, so that Ctrl-C in a terminal reaches the App alone, and so that processes which the mapper
	// started are ended with it. Pdeathsig ends it when the App is killed.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c.cmd.Cancel = func() error { return syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) }
	var outErr, errErr error
	c.stdout, outErr = c.cmd.StdoutPipe()
	c.stderr, errErr = c.cmd.StderrPipe()
	return c, errors.Join(outErr, errErr)
}

// Start starts the process, from the thread of the caller.
func (c *child) Start(context.Context) error {
	if err := c.cmd.Start(); err != nil {
		return err
	}
	go c.sweepGroup()
	return nil
}

// sweepGroup waits for the end of the process, however it comes, and ends what it started and left behind. The process
// has not been reaped until then, so that its number cannot be that of another group. What left the group stays.
func (c *child) sweepGroup() {
	defer close(c.swept)
	pid := c.cmd.Process.Pid
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		break
	}
	syscall.Kill(-pid, syscall.SIGKILL) //nolint:errcheck // the process may have been alone
}

// Wait is called once, when both pipes have been read to their end.
func (c *child) Wait(context.Context) error {
	<-c.swept
	err := c.cmd.Wait()
	c.ended = c.cmd.ProcessState.String()
	close(c.exited)
	return err
}

// Kill ends the process and its group at once.
func (c *child) Kill(context.Context) error {
	c.killGroup()
	return nil
}

func (c *child) killGroup() {
	c.cancel()
	if c.stdout != nil && c.stderr != nil {
		c.stdout.Close() //nolint:errcheck // the reader notices that it is closed
		c.stderr.Close() //nolint:errcheck // likewise
	}
}

// ID is "" for go-plugin as long as there is nothing to end.
func (c *child) ID() string {
	if c.cmd.Process == nil {
		return ""
	}
	return strconv.Itoa(c.cmd.Process.Pid)
}

func (c *child) Stdout() io.ReadCloser           { return c.printed.tee(c.stdout, true) }
func (c *child) Stderr() io.ReadCloser           { return c.printed.tee(c.stderr, false) }
func (c *child) Name() string                    { return c.path }
func (c *child) Diagnose(context.Context) string { return "" }

func (c *child) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

func (c *child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
