package top_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaizengarden/moray/cmd/moray/top"
)

// terminal is a pseudo-terminal: what a program writes on it, and what somebody types.
type terminal struct {
	keyboard *os.File // the outer end
	inner    *os.File // the program's

	mu   sync.Mutex
	text bytes.Buffer // since the last await
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	outer, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(outer.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100})
	}
	if err != nil {
		t.Fatal(err)
	}
	inner, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{keyboard: outer, inner: inner}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for buf := make([]byte, 4096); ; {
			n, err := outer.Read(buf)
			term.mu.Lock()
			term.text.Write(buf[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		inner.Close() // ends the read
		<-ended
		outer.Close()
	})
	return term
}

// await waits until a text is written.
func (term *terminal) await(t *testing.T, want string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		term.mu.Lock()
		text := term.text.String()
		found := strings.Contains(text, want)
		if found {
			term.text.Reset()
		}
		term.mu.Unlock()
		if found {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the screen never shows %q: %q", want, text)
		}
	}
}

func (term *terminal) press(t *testing.T, key string) {
	t.Helper()
	if _, err := term.keyboard.WriteString(key); err != nil {
		t.Fatal(err)
	}
}

// The screen shows reports, says when the server does not answer, goes on when it does, pauses, and ends with the key q or with the
// context; it leaves the terminal as it was.
func TestShow(t *testing.T) {
	t.Parallel()
	m := new(monitor)
	w := watch(t, m)
	term := newTerminal(t)
	before, err := unix.IoctlGetTermios(int(term.inner.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	m.set("<html>", "", "")
	go func() { ended <- top.Show(t.Context(), w, 20*time.Millisecond, term.inner, term.inner) }()
	term.await(t, "no answer: ")
	m.set(kang(""), metrics(1, 0, 0), ready)
	term.await(t, "q quits, space pauses")
	term.press(t, " ")
	term.await(t, "paused")
	term.press(t, "q")
	if err := <-ended; err != nil {
		t.Errorf("after q: %v", err)
	}
	term.await(t, "\x1b[?1049l") // back to the usual screen
	after, err := unix.IoctlGetTermios(int(term.inner.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal is left as %+v, %v; it was %+v", after, err, before)
	}

	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- top.Show(ctx, w, time.Hour, term.inner, term.inner) }()
	term.await(t, "version")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("after the context's end: %v", err)
	}
}
