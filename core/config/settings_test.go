package config_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kaizengarden/moray/core/config"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	c := parse(t, small, config.WithEnvironment([]string{"MORAY_CONFIG__FAST__MAXINFLIGHT=9"}), config.WithPort(2021))
	got := map[string]any{}
	var names []string
	for _, s := range c.Settings() {
		names = append(names, s.Name())
		if slices.Contains([]string{"config.datacenter", "config.fast.maxInFlight", "config.port", "config.bindip"}, s.Name()) {
			got[s.Name()] = []any{s.Value, s.Source}
		}
	}
	want := map[string]any{
		"config.datacenter":       []any{"d", ""},
		"config.fast.maxInFlight": []any{9.0, "MORAY_CONFIG__FAST__MAXINFLIGHT"},
		"config.port":             []any{2021.0, "command line"},
		"config.bindip":           []any{"0.0.0.0", "default"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !slices.Contains(names, "config.standalone.pg.maxConnections") {
		t.Errorf("names %q", names)
	}
}

func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"tcp://moray:sesame@db/moray":                   "tcp://moray:(hidden)@db/moray",
		"tcp://moray:se@same@db/moray":                  "tcp://moray:(hidden)@db/moray",
		"tcp://moray:sesame:sesame@db1:1,db2:2":         "tcp://moray:(hidden)@db1:1,db2:2",
		"tcp://moray@db/moray?password=sesame":          "tcp://moray@db/moray?password=(hidden)",
		"tcp://moray@db/moray?user=x&pass%77ord=sesame": "tcp://moray@db/moray?user=x&pass%77ord=(hidden)",
		"socket:/run/pg?db=d&password=sesame":           "socket:/run/pg?db=d&password=(hidden)",
		"/var/run/postgresql moray":                     "/var/run/postgresql moray",
		"tcp://moray@db/moray?sslmode=verify-full":      "tcp://moray@db/moray?sslmode=verify-full",
		"tcp://:sesame@db/moray":                        "tcp://:(hidden)@db/moray",
	} {
		text, err := json.Marshal(map[string]any{
			"bunyan": map[string]any{}, "server_uuid": "u", "datacenter": "d", "standalone": map[string]any{"url": url, "pg": map[string]any{}},
			"plugins": map[string]any{"p": map[string]any{"command": "/p", "env": map[string]any{"TOKEN": "sesame"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		c := parse(t, string(text))
		shown, err := c.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(shown, []byte("sesame")) || bytes.Contains(shown, []byte("same@")) {
			t.Errorf("%s: a secret is in\n%s", url, shown)
		}
		var back struct{ Standalone struct{ URL string } }
		if err := json.Unmarshal(shown, &back); err != nil || back.Standalone.URL != want {
			t.Errorf("%s: shown as %s, error %v", url, back.Standalone.URL, err)
		}
	}
}

// TestPrintedCanBeRead prints the configuration in both forms, and expects that what is printed means the same, but for secrets.
func TestPrintedCanBeRead(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"standalone", "manatee", "patroni"} {
		c, _ := load(t, "testdata/"+name+".json")
		for ext, print := range map[string]func() ([]byte, error){".json": c.JSON, ".yaml": c.YAML} {
			text, err := print()
			if err != nil {
				t.Fatal(err)
			}
			again, _, err := config.Parse(name+ext, text)
			if err != nil {
				t.Errorf("%s%s: %v", name, ext, err)
				continue
			}
			if diff := cmp.Diff(c, again, exported, cmpopts.IgnoreFields(config.URL{}, "Password")); diff != "" {
				t.Errorf("%s%s (-before +after):\n%s\n%s", name, ext, diff, text)
			}
		}
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	before := parse(t, strings.Replace(small, "moray@", "moray:a@", 1))
	after := parse(t, strings.Replace(small, "moray@", "moray:b@", 1), config.WithPort(1),
		config.WithEnvironment([]string{"MORAY_CONFIG__BUNYAN__LEVEL=debug"}))
	want := []string{"config.bunyan.level", "config.port", "config.standalone.url"}
	got := before.Changes(after)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var restart []string
	for _, name := range got {
		if !config.Reloadable(name) {
			restart = append(restart, name)
		}
	}
	if want := []string{"config.port", "config.standalone.url"}; !slices.Equal(restart, want) {
		t.Errorf("need a restart: %q, want %q", restart, want)
	}
}
