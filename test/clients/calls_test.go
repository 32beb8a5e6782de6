package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// TestCalls makes the calls of testdata/calls with the library of each release.
func TestCalls(t *testing.T) {
	t.Parallel()
	install(t)
	files, err := filepath.Glob(filepath.Join("testdata", "calls", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in testdata/calls: %v", err)
	}
	for _, path := range files {
		s := readScript(t, path)
		t.Cleanup(func() { s.write(t) })
		for _, release := range releases {
			t.Run(strings.TrimSuffix(filepath.Base(path), ".txt")+"/"+release, func(t *testing.T) {
				t.Parallel()
				server := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{})
				c := startCaller(t, release, server.Addr)
				s.run(t, release, func(input string) string {
					name, args, _ := strings.Cut(input, " ")
					return c.call(name, "["+args+"]").String()
				})
			})
		}
	}
}

// caller is a running calls.js.
type caller struct {
	t       *testing.T
	in      io.Writer
	out     *bufio.Reader
	release string
}

// answer is what the caller of a client's method gets, as calls.js writes it.
type answer struct {
	Result  json.RawMessage   // nil if the client gives none
	Records []json.RawMessage // from methods that answer with events, which give no result
	Error   []cause           // outermost first
	Thrown  string            // by the client's own checks
}

// cause is a link in the chain of an error's causes.
type cause struct {
	Name    string
	Message string
	Ctor    string
	Context json.RawMessage `json:",omitempty"`
	Info    json.RawMessage `json:",omitempty"`
}

func startCaller(t *testing.T, release, address string) *caller {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(t, time.Minute, release, address, "node", "calls.js", release, host, port)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rest := bufio.NewReaderSize(out, 1<<20)
	t.Cleanup(func() {
		in.Close()
		left, _ := io.ReadAll(rest)
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 || len(left) > 0 {
			t.Errorf("calls.js %s ended with %v, and wrote at last:\n%s%s", release, err, left, stderr.Bytes())
		}
	})
	return &caller{t: t, in: in, out: rest, release: release}
}

// call makes a call; args is a JSON array.
func (c *caller) call(name, args string) answer {
	c.t.Helper()
	var line bytes.Buffer
	if err := json.Compact(&line, fmt.Appendf(nil, `{"call":%q,"args":%s}`, name, args)); err != nil {
		c.t.Fatalf("%s %s: %v", name, args, err)
	}
	line.WriteByte('\n')
	if _, err := c.in.Write(line.Bytes()); err != nil {
		c.t.Fatalf("%s: %s %s: %v", c.release, name, args, err)
	}
	text, err := c.out.ReadBytes('\n')
	if err != nil {
		c.t.Fatalf("%s: no answer to %s %s: %v", c.release, name, args, err)
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		c.t.Fatalf("%s: answer to %s %s: %v: %s", c.release, name, args, err, text)
	}
	return a
}

// String returns the answer as testdata has it: the result; or the records, one a line, and the word end; or the names of the
// error's chain and the message of the innermost, followed by its context.
func (a answer) String() string {
	var b strings.Builder
	for _, record := range a.Records {
		fmt.Fprintf(&b, "%s\n", record)
	}
	switch {
	case a.Thrown != "":
		b.WriteString("thrown " + a.Thrown)
	case a.Error != nil:
		writeChain(&b, a.Error)
	case a.Records != nil:
		b.WriteString("end")
	case a.Result != nil:
		b.Write(a.Result)
	default:
		b.WriteString("ok")
	}
	return b.String()
}

// wrappers are what the client puts in front of the message of a cause.
var wrappers = map[string]string{
	"VError":           "moray client (ADDRESSES): ",
	"FastRequestError": "request failed: ",
	"FastServerError":  "server error: ",
}

func writeChain(b *strings.Builder, chain []cause) {
	for i, c := range chain {
		if i == len(chain)-1 {
			fmt.Fprintf(b, "%s: %s", c.Name, c.Message)
			if len(c.Context) > 0 && string(c.Context) != "{}" {
				fmt.Fprintf(b, "\ncontext %s", c.Context)
			}
			return
		}
		if want := wrappers[c.Name] + constant(chain[i+1].Message); constant(c.Message) != want {
			fmt.Fprintf(b, "(message %q, want %q) ", c.Message, want)
		}
		b.WriteString(c.Name + " > ")
	}
}
