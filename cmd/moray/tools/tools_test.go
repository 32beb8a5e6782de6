package tools

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/kaizengarden/moray/core/jsvalue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs a tool without a server and returns the exit status and what it printed.
func run(t *testing.T, name, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = Find(name).Run(t.Context(), args, Streams{In: strings.NewReader(stdin), Out: &out, Err: &err})
	return status, out.String(), err.String()
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		want string // the options and operands, or the error
	}{
		{"", "[] []"},
		{"a b", "[] [a b]"},
		{"-x 5 a", "[x=5] [a]"},
		{"-x5 a", "[x=5] [a]"},
		{"-sx5 a", "[s x=5] [a]"},
		{"-vvs a -s", "[v v s] [a -s]"},
		{"-- -s", "[] [-s]"},
		{"- -s", "[] [-s]"},
		{"--host here --port=5 a", "[h=here p=5] [a]"},
		{"--service= a", "[S=] [a]"},
		{"--output json a", "[] [a]"},
		{"-z", "illegal option -- z"},
		{"-s:", "illegal option -- :"},
		{"--verbose", "illegal option -- verbose"},
		{"-x", "option requires an argument -- x"},
		{"-sx", "option requires an argument -- x"},
		{"--host", "option requires an argument -- host"},
		{"--help", "help is wanted"},
	} {
		o, operands, err := parseOptions(strings.Fields(c.args), "x:s")
		got := fmt.Sprint(err)
		if err == nil {
			var all []string
			for _, g := range o.given {
				all = append(all, strings.TrimSuffix(string(g.letter)+"="+g.value, map[bool]string{true: "=", false: ""}[g.letter == 's' || g.letter == 'v']))
			}
			got = fmt.Sprint(all, " ", operands)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.args, got, c.want)
		}
	}
}

func TestLeadingNumber(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"5": "5", "5abc": "5", "0": "0", " 7": "7", "+3": "3", "": "no", "abc": "no", "-1": "no", "99999999999999999999": "9007199254740992",
	} {
		got := "no"
		if n, ok := leadingNumber(text); ok {
			got = fmt.Sprint(n)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestTarget follows the rules by which a tool chooses where to connect to. It changes the environment.
func TestTarget(t *testing.T) {
	for _, c := range []struct{ env, args, want string }{
		{"", "", "127.0.0.1:2020"},
		{"MORAY_URL=tcp://db:5", "", "db:5"},
		{"MORAY_URL=tcp://db", "", "db:2020"},
		{"MORAY_URL=tcp://[::1]:7", "", "::1:7"},
		{"MORAY_URL=tcp://db:5 MORAY_SERVICE=s.example", "", "s.example"},
		{"MORAY_URL=tcp://db:5 MORAY_SERVICE=s.example", "-h here", "here:5"},
		{"MORAY_URL=tcp://db:5 MORAY_SERVICE=s.example", "-p 9", "db:9"},
		{"MORAY_URL=nonsense", "-h here -p 9", "here:9"},
		{"MORAY_URL=nonsense", "-S s.example", "s.example"},
		{"MORAY_URL=nonsense", "-h here", `MORAY_URL: expected tcp://HOST[:PORT], tls://HOST[:PORT] or unix:///PATH, found "nonsense"`},
		{"MORAY_URL=tls://db", "", "db:2020"},
		{"MORAY_URL=unix:///run/moray.sock", "", "/run/moray.sock"},
		{"MORAY_URL=unix:///run/moray.sock", "-h here -p 7", "here:7"},
		{"MORAY_URL=tcp://db:70000", "", "port in MORAY_URL is not a valid TCP port"},
		{"", "-S s.example -p 5", "-S/--service cannot be combined with -h/--host or -p/--port"},
		{"", "-S 10.0.0.1", "cannot use an IP address with -S/--service/MORAY_SERVICE"},
		{"", "-p 65536", "-p/--port: expected valid TCP port"},
		{"", "-p 5x", "-p/--port: expected valid TCP port"},
	} {
		for _, name := range []string{"MORAY_URL", "MORAY_SERVICE", "MORAY_BOOTSTRAP_DOMAIN"} {
			t.Setenv(name, "")
		}
		for _, pair := range strings.Fields(c.env) {
			name, value, _ := strings.Cut(pair, "=")
			t.Setenv(name, value)
		}
		o, _, err := parseOptions(strings.Fields(c.args), "")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if target, err := chooseTarget(o); err != nil {
			got = err.Error()
		} else {
			got = target.label()
		}
		if got != c.want {
			t.Errorf("%s tool %s: %s, want %s", c.env, c.args, got, c.want)
		}
	}
}

// Names come from the system's resolver, so that localhost is one.
func TestAddresses(t *testing.T) {
	t.Parallel()
	got, err := (&target{host: "localhost", port: 7}).addresses(t.Context())
	if err != nil || !slices.Contains(got, net.JoinHostPort("127.0.0.1", "7")) && !slices.Contains(got, net.JoinHostPort("::1", "7")) {
		t.Errorf("localhost is at %v, %v", got, err)
	}
	for _, host := range []string{"::1", "[::1]"} {
		if got, err := (&target{host: host, port: 7}).addresses(t.Context()); err != nil || !slices.Equal(got, []string{"[::1]:7"}) {
			t.Errorf("%s is at %v, %v", host, got, err)
		}
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	const value = `{"a":1,"b":"x: 'y'\n","c":[1,"2",{}],"d":{"e":null,"f":[]},"when":"2026-01-02","yes":"true"}`
	for _, c := range []struct{ output, want string }{
		{"", "{\n  \"a\": 1,\n  \"b\": \"x: 'y'\\n\",\n  \"c\": [\n    1,\n    \"2\",\n    {}\n  ],\n  \"d\": {\n    \"e\": null,\n    \"f\": []\n  },\n" +
			"  \"when\": \"2026-01-02\",\n  \"yes\": \"true\"\n}\n"},
		{"yaml", "---\na: 1\nb: |\n  x: 'y'\nc:\n  - 1\n  - \"2\"\n  - {}\nd:\n  e: null\n  f: []\nwhen: \"2026-01-02\"\nyes: \"true\"\n"},
		{"table", "A  B         C           D                  WHEN        YES\n1  x: 'y'\\n  [1,\"2\",{}]  {\"e\":null,\"f\":[]}  2026-01-02  true\n"},
	} {
		var out bytes.Buffer
		call := &call{opts: &options{output: c.output}, Streams: Streams{Out: &out}}
		if err := call.print(jsvalue.Value(value), false); err != nil || out.String() != c.want {
			t.Errorf("output %q: %v\n%s\nwant\n%s", c.output, err, out.String(), c.want)
		}
	}
	if got := literal(jsvalue.Value(`{"count":2,"etag":"u'1","a-b":null}`)); got != `{ count: 2, etag: 'u\'1', 'a-b': null }` {
		t.Errorf("literal: %s", got)
	}
}

// Every tool has help, and refuses what it does not know with its usage, before it connects to anything.
func TestUsage(t *testing.T) {
	t.Parallel()
	for _, tool := range All {
		status, out, errors := run(t, tool.Name, "", "--help")
		if status != 0 || errors != "" || !strings.HasPrefix(out, "usage: "+tool.Name+" ") || !strings.Contains(out, "\nExamples:\n  "+tool.Name) {
			t.Errorf("%s --help: status %d, stderr %q\n%s", tool.Name, status, errors, out)
		}
		for _, args := range [][]string{{"--nosuch"}, {"--output", "xml", "a", "b"}, {"-p"}} {
			status, out, errors := run(t, tool.Name, "", args...)
			if status != 2 || out != "" || !strings.Contains(errors, "\nusage: "+tool.Name) {
				t.Errorf("%s %v: status %d, stdout %q, stderr %q", tool.Name, args, status, out, errors)
			}
		}
	}
	names := []string{}
	for _, tool := range All {
		names = append(names, tool.Name)
	}
	if !slices.IsSorted(names) || len(names) != 17 {
		t.Errorf("the tools are %v", names)
	}
}

// Values are looked at before anything is sent.
func TestBadValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tool, stdin string
		args        []string
		want        string
	}{
		{"putobject", "", []string{"-d", "{", "b", "k"}, "putobject: parsing value for -d: unexpected end at byte 1\n"},
		{"putobject", "", []string{"-d", "5", "b", "k"}, "putobject: parsing value for -d: it is not an object\n"},
		{"putbucket", "[]", []string{"-s", "b"}, "putbucket: the definition on stdin: not a JSON object\n"},
		{"putbucket", "", []string{"-s", "b"}, "putbucket: the definition on stdin: unexpected end at byte 0\n"},
	} {
		if status, _, errors := run(t, c.tool, c.stdin, c.args...); status != 1 || errors != c.want {
			t.Errorf("%s %v: status %d, %q, want %q", c.tool, c.args, status, errors, c.want)
		}
	}
}

func FuzzOptions(f *testing.F) {
	for _, seed := range []string{"", "-Hn a b", "--host=x -p5 -- -v", "-i a:b -u c", "--output", "-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, " ")
		o, operands, err := parseOptions(args, "i:u:x:Hn")
		if err == nil && (len(operands) > len(args) || len(o.given) > len(line)) {
			t.Errorf("%q: %v, %v", line, o.given, operands)
		}
	})
}
