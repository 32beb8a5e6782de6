package clients

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// listenReleases are the releases that have the tool moraylisten.
var listenReleases = []string{"moray-3", "moray-4", own}

// TestListenTool runs moraylisten until it is interrupted.
func TestListenTool(t *testing.T) {
	t.Parallel()
	install(t)
	for _, release := range listenReleases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			linkIfOwn(t, release)
			db := pgtest.New(t)
			server := servertest.Start(t, db.URL(), servertest.Options{})
			l := startListenTool(t, db, release, server.Addr)
			for _, payload := range []string{"hello", "grün ☃", "", "last"} {
				db.Exec(t, "SELECT pg_notify('news', $1)", payload)
			}
			l.expect("hello", "grün ☃", "", "last")
			if err := l.cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			l.end(0, "Caught interrupt signal - shutting down\n")
		})
	}
}

// TestListenToolLosesServer ends the server in order. A listen that is still running then must not look like one that was ended
// by unlisten: who listens would wait for ever.
func TestListenToolLosesServer(t *testing.T) {
	t.Parallel()
	install(t)
	for _, release := range listenReleases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			linkIfOwn(t, release)
			db := pgtest.New(t)
			server := servertest.Start(t, db.URL(), servertest.Options{})
			l := startListenTool(t, db, release, server.Addr)
			server.Stop(t)
			l.end(1, "moraylisten: moray client (ADDRESSES): request failed: unexpected end of transport stream\n")
		})
	}
}

// listenTool is a running moraylisten on the channel news.
type listenTool struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  chan string
	stderr bytes.Buffer
}

// ready is the payload that the test sends until the tool prints it: nothing else tells that it listens.
const ready = "ready?"

func startListenTool(t *testing.T, db *pgtest.DB, release, address string) *listenTool {
	t.Helper()
	l := &listenTool{t: t, lines: make(chan string, 100), cmd: command(t, 10*time.Second, release, address, "sh", "-c", "exec moraylisten news")}
	l.cmd.Stderr = &l.stderr
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go l.read(out) // ends with the tool's output, which end waits for
	for {
		db.Exec(t, "SELECT pg_notify('news', $1)", ready)
		select {
		case _, ok := <-l.lines:
			if !ok {
				t.Fatalf("moraylisten ended: %v: %s", l.cmd.Wait(), l.stderr.String())
			}
			return l
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (l *listenTool) read(out io.Reader) {
	defer close(l.lines)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		l.lines <- lines.Text()
	}
}

// expect compares the next lines of the output with want.
func (l *listenTool) expect(want ...string) {
	l.t.Helper()
	for _, w := range want {
		got, ok := ready, true
		for got == ready && ok {
			got, ok = <-l.lines
		}
		if got != w || !ok {
			l.t.Fatalf("moraylisten printed %q (%t), want %q; stderr: %s", got, ok, w, l.stderr.String())
		}
	}
}

// end waits for the tool's end and checks it.
func (l *listenTool) end(status int, message string) {
	l.t.Helper()
	for range l.lines { // the rest of the output
	}
	got := exit(l.t, l.cmd.Wait())
	want := `Connected - listening for "news" notifications` + "\n" + message
	if text := constant(l.stderr.String()); got != status || text != want {
		l.t.Errorf("moraylisten ended with status %d and wrote\n%swant status %d and\n%s", got, text, status, want)
	}
}
