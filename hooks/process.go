package hooks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

// process is one life of a plugin's program. It is a runner.Runner: go-plugin reads the handshake from it, and the rest is ours, so
// that the process dies with the server, is ended together with its children, and holds nothing of the server's.
type process struct {
	name   string
	cmd    *exec.Cmd
	log    *lines
	stdout *handshakeReader

	ended chan struct{} // closed when the process is gone and its output was read
	state *os.ProcessState

	mu     sync.Mutex
	number int    // of the process, when it was started
	reason string // why it was killed, if we did it
	gone   bool   // there is nobody to send signals to: its number may be another's
}

var _ runner.Runner = (*process)(nil)

// drainTime is how long what a process left in its pipes is waited for: its children may keep them open.
const drainTime = time.Second

func newProcess(name string, log *lines) *process {
	return &process{name: name, log: log, ended: make(chan struct{})}
}

// Start implements runner.Runner.
func (p *process) Start(context.Context) error {
	outReader, outWriter, err := os.Pipe()
	if err != nil {
		return err
	}
	errReader, errWriter, err := os.Pipe()
	if err != nil {
		return errors.Join(err, outReader.Close(), outWriter.Close())
	}
	p.stdout = &handshakeReader{r: outReader, lines: newLineReader(outReader), noise: func(line string) { p.log.text(line) }}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = nil, outWriter, errWriter
	p.cmd.SysProcAttr = sysProcAttr()

	started := make(chan error)
	go func() {
		// The kernel kills the process when the thread that started it ends, which has to be no sooner than the server does.
		runtime.LockOSThread()
		err := p.cmd.Start()
		outWriter.Close()
		errWriter.Close()
		if err != nil {
			outReader.Close()
			errReader.Close()
		} else {
			p.begin(p.cmd.Process.Pid)
		}
		started <- err
		if err == nil {
			p.look(errReader)
		}
	}()
	if err := <-started; err != nil {
		p.stdout = nil
		close(p.ended)
		return explainStart(p.cmd.Path, err)
	}
	return nil
}

// begin notes the number of the process, which may be unwanted already.
func (p *process) begin(number int) {
	p.mu.Lock()
	p.number = number
	unwanted := p.reason != ""
	p.mu.Unlock()
	if unwanted {
		p.signal(syscall.SIGKILL)
	}
}

// look waits for the end of the process. What it leaves behind of its group goes with it.
func (p *process) look(errReader *os.File) {
	defer close(p.ended)
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.log.copy(errReader)
	}()
	p.cmd.Wait() //nolint:errcheck // because the state says it
	p.state = p.cmd.ProcessState
	p.signal(syscall.SIGKILL)
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	drained := time.AfterFunc(drainTime, func() { errReader.Close() })
	<-read
	drained.Stop()
	errReader.Close()
	p.stdout.drain(drainTime)
}

// Wait implements runner.Runner.
func (p *process) Wait(ctx context.Context) error {
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill implements runner.Runner. A process whose output has ended is about to end by itself, and can say better why.
func (p *process) Kill(ctx context.Context) error {
	select {
	case <-p.ended:
	case <-time.After(exitNews):
	}
	p.signal(syscall.SIGKILL)
	return p.Wait(ctx)
}

// kill ends the process at once, for a reason that is reported.
func (p *process) kill(reason string) {
	p.mu.Lock()
	if p.reason == "" {
		p.reason = reason
	}
	p.mu.Unlock()
	p.signal(syscall.SIGKILL)
}

// signal sends a signal to the process and all that it started.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.number != 0 && p.cmd != nil && !p.gone {
		syscall.Kill(-p.number, s) //nolint:errcheck // because there may be nobody left
	}
}

// finish notes the end of an attached process.
func (p *process) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		p.gone = true
		close(p.ended)
	}
}

// end says how the process ended. It is for after that.
func (p *process) end() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reason != "" {
		return p.reason
	}
	switch {
	case p.cmd == nil:
		return "the process that was attached is gone"
	case p.state == nil:
		return "it did not start"
	}
	return p.state.String()
}

// pid returns the number of the process, or 0.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.number
}

// ID implements runner.Runner.
func (p *process) ID() string { return strconv.Itoa(p.pid()) }

// Name implements runner.Runner.
func (p *process) Name() string { return p.name }

// Stdout implements runner.Runner.
func (p *process) Stdout() io.ReadCloser { return p.stdout }

// Stderr implements runner.Runner. The log is read here, with bounds that go-plugin does not have.
func (p *process) Stderr() io.ReadCloser { return io.NopCloser(eof{}) }

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// Diagnose implements runner.Runner.
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost implements runner.Runner: both see the same file system.
func (p *process) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin implements runner.Runner.
func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// explainStart says what can be done about a program that does not start.
func explainStart(path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT):
		if _, statErr := os.Stat(path); statErr == nil {
			return fmt.Errorf("%w: the file is there, so its interpreter or its loader is missing", err)
		}
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: is it executable (chmod +x), and on a file system that is not mounted noexec?", err)
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: is it a program for %s/%s?", err, runtime.GOOS, runtime.GOARCH)
	}
	return err
}

// checkSum compares the SHA-256 of a file with what it should be, in hex; empty for anything.
func checkSum(path, want string) error {
	if want == "" {
		return nil
	}
	sum, err := fileSum(path)
	if err == nil && sum != want {
		err = fmt.Errorf("the SHA-256 of %s is %s, and should be %s: it is not started", path, sum, want)
	}
	return err
}

// fileSum returns the SHA-256 of a file in hex.
func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// lookUp returns the absolute path of a program.
func lookUp(command string) (string, error) {
	if filepath.IsAbs(command) {
		return command, nil
	}
	path, err := exec.LookPath(command)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}
