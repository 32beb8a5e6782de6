package localpg

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// orphanDelay bounds how long the end of a process waits for the last output of what it left behind. PostgreSQL's processes
// notice at once that their postmaster is gone.
const orphanDelay = 2 * time.Second

// child is a process that this one started and waits for.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process is gone and reaped
	err  error         // how it ended; valid when done is closed
}

// spawn starts cmd and a goroutine that waits for its end, closes done, and calls exited if that is not nil: whoever learns
// of the end from exited finds done closed. Whoever spawns a process waits for done.
//
// The kernel sends the parent-death signal when the *thread* that forked ends, not the process, and Go ends threads when
// it likes. So the thread that forks is locked to that goroutine and sleeps in wait until the process is gone: it ends earlier
// only if this whole process does.
func spawn(cmd *exec.Cmd, exited func()) (*child, error) {
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		close(c.done)
		if exited != nil {
			exited()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// step is one step of a shutdown: a signal, and how long to wait for its effect.
type step struct {
	signal syscall.Signal
	wait   time.Duration
}

// end goes through the steps until the process is gone, and then kills it.
func (c *child) end(steps []step) {
	for _, s := range steps {
		_ = c.cmd.Process.Signal(s.signal) // an error means that it is gone: done tells
		select {
		case <-c.done:
			return
		case <-time.After(s.wait):
		}
	}
	_ = c.cmd.Process.Kill()
	<-c.done
}
