package config_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/kaizengarden/moray/core/config"
)

// TestYAML writes each configuration of the tests as YAML, and expects it to mean the same.
func TestYAML(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"standalone", "manatee", "patroni", "everything"} {
		text, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		want, wantWarnings, err := config.Parse(name+".json", text)
		if err != nil {
			t.Fatal(err)
		}
		var root any
		if err := json.Unmarshal(text, &root); err != nil {
			t.Fatal(err)
		}
		written, err := yaml.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		got, warnings, err := config.Parse(name+".yaml", written)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got, exported) + cmp.Diff(wantWarnings, warnings) + cmp.Diff([]string(nil), want.Changes(got)); diff != "" {
			t.Errorf("%s (-JSON +YAML):\n%s", name, diff)
		}
	}
}

func TestYAMLRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a: [":                       "Unable to parse configuration file c.yaml: yaml: line 1",
		"port: 1\nport: 2":           `line 2: mapping key "port" already defined at line 1`,
		"plugins: {1: x}":            "config.plugins has the key 1, which should be a text",
		"fast: {.nan: 1, a: 1}":      "config.fast has the key NaN, which should be a text",
		"fast: {maxInFlight: .inf}":  "unsupported value",
		"a: &a [*a]":                 "anchor 'a' value contains itself",
		"port: x\ndatacenter: 1":     "config.port should be integer",
		"":                           "config should be object",
		"standalone: !!binary aGk=":  "config.standalone should be object",
		"standalone: 2001-12-14":     "config.standalone should be object",
		"standalone: {url: ''}":      "config.standalone.url should NOT be shorter",
		"standalone: {ulr: 'x'}":     `config.standalone should NOT have additional properties ('ulr')`,
		"--- {a: 1}\n--- {b: 2}":     "more than one document",
		"standalone: {url: *nobody}": "unknown anchor",
	} {
		_, _, err := config.Parse("c.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
	}
}

// FuzzYAML looks for texts that end the program.
func FuzzYAML(f *testing.F) {
	f.Add("standalone: {url: 'tcp://moray@db/moray'}")
	f.Add("a: &a\n  <<: *a")
	f.Add("? {a: b}\n: - c")
	f.Fuzz(func(t *testing.T, text string) {
		c, _, err := config.Parse("c.yaml", []byte(text))
		if (c == nil) == (err == nil) {
			t.Errorf("configuration %v, error %v", c, err)
		}
	})
}
