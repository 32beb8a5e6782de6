package config_test

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kaizengarden/moray/core/config"
)

func load(t *testing.T, path string, overrides ...config.Override) (*config.Config, []string) {
	t.Helper()
	c, warnings, err := config.Load(path, overrides...)
	if err != nil {
		t.Fatal(err)
	}
	return c, warnings
}

// defaults are those of the original where it has them.
func defaults() *config.Config {
	return &config.Config{
		BindIP:      "0.0.0.0",
		Port:        2020,
		MonitorPort: 3020,
		Access:      config.Access{SQL: "on"},
		Requests:    config.Requests{Log: "debug", Slow: time.Second},
		Pool: config.Pool{
			ConnectTimeout:      time.Second,
			CheckInterval:       time.Minute,
			MaxConnections:      5,
			MinSpareConnections: 5,
			MaxQueueLength:      2000,
			TargetClaimDelay:    500 * time.Millisecond,
		},
		Fast:  config.Fast{MaxFrameBytes: 64 << 20, MaxInFlight: 4096, WriteTimeout: 30 * time.Second, UnsentBytes: 1 << 20},
		Grace: 10 * time.Second,

		Reconcile: config.Reconcile{Mode: "off", Reindex: true},
	}
}

// exported compares configurations by what others see of them.
var exported = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.IgnoreUnexported(config.Config{})}

func TestLoadStandalone(t *testing.T) {
	t.Parallel()
	want := defaults()
	want.BindIP = "127.0.0.1"
	want.ServerUUID, want.Datacenter = "dev-host", "dev"
	want.Log.Level = "info"
	want.Standalone = &config.URL{Host: "127.0.0.1", Port: 5432, User: "moray", Database: "moray"}
	want.Pool.ConnectTimeout = 3 * time.Second
	want.Pool.CheckInterval = 30 * time.Second
	want.Pool.MaxConnections, want.Pool.MinSpareConnections = 15, 15

	got, warnings := load(t, "testdata/standalone.json")
	if diff := cmp.Diff(want, got, exported); diff != "" || len(warnings) > 0 {
		t.Errorf("warnings %q, configuration (-want +got):\n%s", warnings, diff)
	}
}

func TestLoadManatee(t *testing.T) {
	want := defaults()
	want.ServerUUID, want.Datacenter = "00000000-0000-4000-8000-000000000001", "region-1"
	want.ServiceName = "1.moray.region.example.com"
	want.Log = config.Log{Level: "info", Syslog: &config.Syslog{Type: "udp", Facility: "local0", Host: "127.0.0.1", Port: 514}}
	want.Manatee = &config.Cluster{
		Path:           "/manatee/1.moray.region.example.com",
		Servers:        []string{"10.0.0.1:2181", "10.0.0.2:2181", "10.0.0.3:2181"},
		SessionTimeout: time.Minute,
		SpinDelay:      time.Second,
		Login:          &config.URL{User: "moray"},
	}
	want.Pool.ConnectTimeout = 4 * time.Second
	want.Pool.CheckInterval = 90 * time.Second
	want.Pool.MaxConnections, want.Pool.MinSpareConnections = 16, 16

	for _, name := range []string{"", "other"} {
		t.Setenv("MORAY_DB_NAME", name)
		want.Manatee.Login.Database = name
		if name == "" {
			want.Manatee.Login.Database = "moray"
		}
		got, warnings := load(t, "testdata/manatee.json")
		if diff := cmp.Diff(want, got, exported); diff != "" || len(warnings) > 0 {
			t.Errorf("MORAY_DB_NAME=%s: warnings %q, configuration (-want +got):\n%s", name, warnings, diff)
		}
	}
}

func TestLoadPatroni(t *testing.T) {
	t.Setenv("MORAY_DB_NAME", "")
	want := defaults()
	want.ServerUUID, want.Datacenter = "u", "d"
	want.Patroni = &config.Cluster{
		Path:           "/service/moray",
		Servers:        []string{"zk1.example.com:2181", "zk2.example.com:2181"},
		SessionTimeout: 30 * time.Second,
		SpinDelay:      time.Second,
		Login:          &config.URL{User: "moray", Password: "secret", Database: "objects", SSLMode: "verify-full"},
	}
	want.Pool.MaxConnections, want.Pool.MinSpareConnections = 16, 16
	got, warnings := load(t, "testdata/patroni.json")
	if diff := cmp.Diff(want, got, exported); diff != "" || len(warnings) > 0 {
		t.Errorf("warnings %q, configuration (-want +got):\n%s", warnings, diff)
	}
}

func TestPatroniLogin(t *testing.T) {
	t.Setenv("MORAY_DB_NAME", "env")
	for _, test := range []struct {
		login, user, problem string
		want                 config.URL
	}{
		{"", "", "", config.URL{Database: "env"}},
		{"", "role", "", config.URL{Database: "env", User: "role"}},
		{"tcp://a@/b", "role", "", config.URL{Database: "b", User: "a"}},
		{"tcp://:p@", "role", "", config.URL{Database: "env", User: "role", Password: "p"}},
		{"tcp://a@h/b", "", "it should name no host, which is found in ZooKeeper: tcp://user:password@/database", config.URL{}},
		{"/run/pg b", "", "it should name no host, which is found in ZooKeeper: tcp://user:password@/database", config.URL{}},
		{"tcp://a@/b?sslmode=x", "", "sslmode should be disable, allow, prefer, require, verify-ca or verify-full", config.URL{}},
	} {
		section := func(name, value string) string {
			if value == "" {
				return ""
			}
			return `"` + name + `":"` + value + `"`
		}
		url := section("url", test.login)
		if url != "" {
			url += ","
		}
		text := `{"bunyan":{},"server_uuid":"u","datacenter":"d","patroni":{` + url +
			`"pg":{` + section("user", test.user) + `},"patroni":{"path":"/p","zk":{"connStr":"h"}}}}`
		c, _, err := config.Parse("c.json", []byte(text))
		if test.problem != "" {
			if want := "InvalidMorayConfigError: config.patroni.url: " + test.problem; errorText(err) != want {
				t.Errorf("%s: got %v, want %s", test.login, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.login, err)
			continue
		}
		if diff := cmp.Diff(&test.want, c.Patroni.Login); diff != "" {
			t.Errorf("%s: login (-want +got):\n%s", test.login, diff)
		}
	}
}

// Of several databases the first counts.
func TestOneDatabase(t *testing.T) {
	t.Parallel()
	text := `{"bunyan":{},"server_uuid":"u","datacenter":"d","patroni":7,"manatee":{"pg":{},"manatee":{"path":"/p","zk":{"connStr":"h"}}}}`
	c, warnings, err := config.Parse("c.json", []byte(text))
	if err != nil || c.Manatee == nil || c.Patroni != nil || len(warnings) != 1 || warnings[0] != "config.patroni is ignored because config.manatee is there" {
		t.Errorf("configuration %+v, warnings %q, error %v", c, warnings, err)
	}
}

func TestLoadEverything(t *testing.T) {
	t.Parallel()
	want := &config.Config{
		BindIP:      "::1",
		ServerUUID:  "u",
		Datacenter:  "d",
		ServiceName: "s",
		Log:         config.Log{Level: "warn", Syslog: &config.Syslog{Type: "tcp", Facility: "local7", Host: "loghost", Port: 10514}},
		Standalone:  &config.URL{SocketDir: "/run/pg", Database: "moray", Ignored: []string{"timezone"}},
		Pool: config.Pool{
			ConnectTimeout:      10 * time.Second,
			MaxConnections:      16,
			MinSpareConnections: 4,
			MaxQueueLength:      100,
			TargetClaimDelay:    time.Millisecond,
			QueryTimeout:        2500 * time.Millisecond,
		},
		Fast: config.Fast{MaxFrameBytes: 1 << 20, MaxInFlight: 64, WriteTimeout: 5 * time.Second, UnsentBytes: 1 << 16},
		Plugins: []config.Plugin{
			{
				Name: "audit", Command: "/opt/audit", Args: []string{"-x", "y"}, SHA256: strings.Repeat("0", 64), Env: map[string]string{"A": "b"},
				PassEnv: []string{"C"}, Timeout: 200 * time.Millisecond, Concurrency: 64, Slow: 20 * time.Millisecond,
				MaxMemory: 1 << 20, MemorySet: true, MaxOpenFiles: 9, MaxAddressSpace: 2 << 20,
			},
			{Name: "js", Enabled: true, Env: map[string]string{}, Concurrency: 8, Slow: 250 * time.Millisecond, MemorySet: true},
		},
		Access: config.Access{
			TLS:    &config.TLS{Certificate: "c.pem", Key: "c.key", ClientCA: "ca.pem", Optional: true},
			Socket: "/run/moray/s", SocketMode: 0o640,
			MonitorTLS:      &config.TLS{Certificate: "m.pem", Key: "m.key"},
			Networks:        []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
			MonitorNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
			SQL:             "off", Audit: true,
			Roles: []config.Role{
				{
					Name: "a", Networks: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}, Subjects: []string{"x", "*"},
					Permit: []string{"write"}, Buckets: []string{"a_*"},
				},
				{Name: "b", Permit: []string{"read", "sql"}},
			},
		},
		Requests: config.Requests{Log: "info", Slow: 250 * time.Millisecond},
		Tracing:  &config.Tracing{Endpoint: "http://127.0.0.1:4318", Sample: 10},
		Grace:    1500 * time.Millisecond,

		Reconcile: config.Reconcile{Directory: "/etc/moray/buckets.d", Mode: "check", Exit: true},
	}
	got, warnings := load(t, "testdata/everything.json")
	if diff := cmp.Diff(want, got, exported); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	wantWarnings := []string{
		"config.audit is ignored",
		"config.cache is ignored",
		"config.manatee is ignored because config.standalone is there",
		"config.standalone.pg.maxIdleTime is ignored",
		`config.standalone.url: the parameter "timezone" is ignored`,
		"config.fast.maxInFlight is below pg.maxQueueLength + pg.maxConnections (116): one client is held back before the queue is full",
	}
	if diff := cmp.Diff(wantWarnings, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// minimal is a small valid file with more members put in front of the others.
func minimal(more string) string {
	if more != "" {
		more += ","
	}
	return `{` + more + `"bunyan":{},"server_uuid":"u","datacenter":"d","standalone":{"url":"tcp://h/d","pg":{}}}`
}

func parse(t *testing.T, text string, overrides ...config.Override) *config.Config {
	t.Helper()
	c, _, err := config.Parse("c.json", []byte(text), overrides...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	text := strings.Replace(minimal(`"port":1,"monitorPort":2`), `"bunyan":{}`, `"bunyan":{"level":"error","syslog":{"type":"x","facility":"y"}}`, 1)

	c := parse(t, text, config.WithVerbose(0))
	wantLog := config.Log{Level: "error", Syslog: &config.Syslog{Type: "udp", Facility: "y", Host: "127.0.0.1", Port: 514}}
	if diff := cmp.Diff(wantLog, c.Log); diff != "" || c.Port != 1 || c.MonitorPort != 2 {
		t.Errorf("without overrides: ports %d, %d, log (-want +got):\n%s", c.Port, c.MonitorPort, diff)
	}
	c = parse(t, text, config.WithPort(10), config.WithMonitorPort(11), config.WithVerbose(2), config.WithPort(12))
	if diff := cmp.Diff(config.Log{Verbose: 2}, c.Log); diff != "" || c.Port != 12 || c.MonitorPort != 11 {
		t.Errorf("with overrides: ports %d, %d, log (-want +got):\n%s", c.Port, c.MonitorPort, diff)
	}
	// What the command line replaces is not checked, but bunyan must be there.
	c = parse(t, strings.Replace(minimal(`"port":"x"`), `{}`, `{"level":"x"}`, 1), config.WithPort(10), config.WithVerbose(1))
	if c.Port != 10 || c.Log.Verbose != 1 {
		t.Errorf("port %d, log %+v, want 10 and 1", c.Port, c.Log)
	}
}

func TestDerivedDefaults(t *testing.T) {
	t.Parallel()
	pg := func(text string) *config.Config {
		return parse(t, strings.Replace(minimal(""), `"pg":{}`, `"pg":`+text, 1))
	}
	if got := pg(`{"maxConnections":3,"minSpareConnections":9}`).Pool.MinSpareConnections; got != 3 {
		t.Errorf("minSpareConnections above maxConnections is %d, want 3", got)
	}
	if got := pg(`{"maxConnections":3,"minSpareConnections":0}`).Pool.MinSpareConnections; got != 0 {
		t.Errorf("minSpareConnections is %d, want 0", got)
	}
	if got := pg(`{"maxQueueLength":9000}`).Fast.MaxInFlight; got != 9006 {
		t.Errorf("maxInFlight beside a queue of 9000 and 5 connections is %d, want 9006", got)
	}
	if got := pg(`{"maxQueueLength":0}`).Fast.MaxInFlight; got != 4096 {
		t.Errorf("maxInFlight beside a queue without bound is %d, want 4096", got)
	}
	for level, want := range map[string]string{`"Trace"`: "trace", "20": "20", "35": "35"} {
		if got := parse(t, strings.Replace(minimal(""), `{}`, `{"level":`+level+`}`, 1)).Log.Level; got != want {
			t.Errorf("level %s is %q, want %q", level, got, want)
		}
	}
}

func TestPluginProblems(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":{"comand":"/x"}}`:            "config.plugins.a should NOT have additional properties ('comand', did you mean 'command'?)",
		`{"a":{"args":["x",5]}}`:           "config.plugins.a.args.1 should be string",
		`{"a":{"env":{"A":1}}}`:            "config.plugins.a.env.A should be string",
		`{"a/b":{"timeout":0}}`:            "config.plugins.a/b.timeout should be >= 1",
		`{"a":{"sha256":"abc"}}`:           `config.plugins.a.sha256 should match pattern "^[0-9a-f]{64}$" (unknown SHA-256: "abc")`,
		`{"a":7}`:                          "config.plugins.a should be object",
		`{"a":{"concurrency":0,"slow":0}}`: "config.plugins.a.concurrency should be >= 1, config.plugins.a.slow should be >= 1",
	} {
		_, _, err := config.Parse("c.json", []byte(minimal(`"plugins":`+text)))
		if err == nil || err.Error() != "InvalidMorayConfigError: "+want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// What no schema can tell is told with the place too.
func TestAccessProblems(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"access":{"networks":["10.0.0.0/33"]}`:                         `config.access.networks: "10.0.0.0/33" is no network: expected 10.0.0.0/8 or an address`,
		`"access":{"roles":{"r":{"permit":["read"],"networks":["x"]}}}`: `config.access.roles.r.networks: "x" is no network: expected 10.0.0.0/8 or an address`,
		`"access":{"roles":{"r":{"permit":["read"],"buckets":["[x"]}}}`: `config.access.roles.r.buckets: "[x" is no pattern`,
		`"access":{"roles":{"r":{"permit":["read"],"subjects":["x"]}}}`: `config.access.roles.r.subjects needs config.tls.clientCA`,
		`"access":{"roles":{"r":{"permit":["rule"]}}}`:                  `config.access.roles.r.permit.0 should be equal to one of the allowed values ("read", "write", "admin", "sql")`,
		`"access":{"sql":"maybe"}`:                                      `config.access.sql should be equal to one of the allowed values ("on", "read-only", "off")`,
		`"socket":{"path":"s"}`:                                         `config.socket: path should be absolute, mode octal as in 0660`,
		`"tls":{"certificate":"c"}`:                                     `config.tls should have required property 'key'`,
	} {
		_, _, err := config.Parse("c.json", []byte(minimal(text)))
		if err == nil || err.Error() != "InvalidMorayConfigError: "+want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestServersOfZooKeeper(t *testing.T) {
	t.Parallel()
	for connStr, want := range map[string][]string{
		"a":                        {"a:2181"},
		"a:1, b ,10.0.0.1:3":       {"a:1", "b:2181", "10.0.0.1:3"},
		"[::1]:2182,[fe80::1],::2": {"[::1]:2182", "[fe80::1]:2181", "[::2]:2181"},
		"a,":                       nil,
		"a:0":                      nil,
		"a:b":                      nil,
		"a:1:2":                    nil,
		"a:1/chroot":               nil,
		":2181":                    nil,
	} {
		text := `{"bunyan":{},"server_uuid":"u","datacenter":"d","manatee":{"pg":{},"manatee":{"path":"/p","zk":{"connStr":"` + connStr + `"}}}}`
		c, _, err := config.Parse("c.json", []byte(text))
		if want == nil {
			if wantErr := "InvalidMorayConfigError: config.manatee.manatee.zk.connStr should be a list host:port,host:port"; err == nil || err.Error() != wantErr {
				t.Errorf("%s: got %v, want %s", connStr, err, wantErr)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", connStr, err)
			continue
		}
		if diff := cmp.Diff(want, c.Manatee.Servers); diff != "" {
			t.Errorf("%s: servers (-want +got):\n%s", connStr, diff)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.json")
	_, _, err := config.Load(missing)
	if want := "Unable to parse configuration file " + missing + ": no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not ErrNotExist", err)
	}
	for text, want := range map[string]string{
		"":                        "line 1, column 0: unexpected end of JSON input",
		"{\n  \"port\": 2020,\n}": "line 3, column 1: invalid character '}' looking for beginning of object key string",
		"{} {}":                   "line 1, column 4: invalid character '{' after top-level value",
		"[1e999]":                 "json: cannot unmarshal number 1e999 into Go value of type float64",
	} {
		want = "Unable to parse configuration file dir/c.json: " + want
		if _, _, err := config.Parse("dir/c.json", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestParsePort(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"1":                       "",
		"65535":                   "",
		"abc":                     `Invalid port 'abc': invalid number: "abc"`,
		"":                        `Invalid port '': invalid number: ""`,
		"20x":                     `Invalid port '20x': invalid number: "20x"`,
		"0":                       "Invalid port 0: should be in range 1-65535",
		"99999":                   "Invalid port 99999: should be in range 1-65535",
		"-1":                      "Invalid port -1: should be in range 1-65535",
		"99999999999999999999999": "Invalid port 99999999999999999999999: should be in range 1-65535",
	} {
		port, err := config.ParsePort(text)
		if got := errorText(err); got != want || err == nil && (port < 1 || port > 65535) {
			t.Errorf("ParsePort(%q) = %d, %q, want %q", text, port, got, want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func FuzzParse(f *testing.F) {
	for _, path := range []string{"standalone", "manatee", "patroni", "everything"} {
		text, err := os.ReadFile("testdata/" + path + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(minimal("")))
	f.Add([]byte(`[{"port":null}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, _, err := config.Parse("c.json", text)
		if err != nil {
			var parse *config.ParseError
			var invalid *config.InvalidError
			if !errors.As(err, &parse) && (!errors.As(err, &invalid) || len(invalid.Problems) == 0) {
				t.Errorf("%s: unexpected error %#v", text, err)
			}
			return
		}
		databases := 0
		for _, there := range []bool{c.Standalone != nil, c.Manatee != nil, c.Patroni != nil} {
			if there {
				databases++
			}
		}
		if databases != 1 {
			t.Errorf("%s: not exactly one database: %+v", text, c)
		}
		p := c.Pool
		if c.Port < 0 || c.Port > 65535 || p.ConnectTimeout <= 0 || p.ConnectTimeout > 10*time.Second || p.TargetClaimDelay <= 0 ||
			p.MaxConnections < 1 || p.MinSpareConnections > p.MaxConnections || c.Fast.MaxInFlight < 1 || c.Grace <= 0 {
			t.Errorf("%s: a value is out of range: %+v", text, c)
		}
	})
}
