package config_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/core/config"
)

var update = flag.Bool("update", false, "write the reference in docs/configuration.md")

// TestReference holds the reference in the documents to the schema.
func TestReference(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../../docs/configuration.md", "<!-- keys -->\n", "<!-- end of keys -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the reference", path)
	}
	want := reference()
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s is not of this schema; go test ./core/config -update writes it (-want +got):\n%s", path, diff)
	}
}

// reference writes each section with a table of its keys.
func reference() string {
	var b strings.Builder
	section := func(heading, description string, keys []config.Key) {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| Key | Type | Default | What it is |\n| --- | --- | --- | --- |\n", heading, description)
		for _, k := range keys {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Path[len(k.Path)-1], kind(&k), code(k.Default), strings.ReplaceAll(notes(&k), "|", `\|`))
		}
	}
	top := config.Key{}
	section("Top level", "Sections are described below.", top.Members())
	for _, k := range config.Keys() {
		if members := k.Members(); len(members) > 0 {
			section("`"+k.Name()+"`", k.Description, members)
		}
	}
	b.WriteString("\n")
	return b.String()
}

func kind(k *config.Key) string {
	text := k.Type
	if k.Range != "" {
		text += ", " + k.Range
	}
	if k.Unit != "" {
		text += ", " + k.Unit
	}
	return text
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

func notes(k *config.Key) string {
	text := k.Description
	if k.Required {
		text = "Required. " + text
	}
	for i, e := range k.Examples {
		if i == 0 {
			text += " For example"
		} else {
			text += " or"
		}
		text += " `" + e + "`"
	}
	if len(k.Examples) > 0 {
		text += "."
	}
	if k.Reloadable {
		text += " Changes count at a reload."
	}
	return text
}

func TestFindKey(t *testing.T) {
	t.Parallel()
	k, err := config.FindKey("standalone.PG.maxconnections")
	if err != nil {
		t.Fatal(err)
	}
	if k.Name() != "standalone.pg.maxConnections" || k.Type != "integer" || k.Default != "5" || k.Variable() != "MORAY_CONFIG__STANDALONE__PG__MAXCONNECTIONS" {
		t.Errorf("%+v", k)
	}
	if _, err := config.FindKey("standalone.pg.maxConnection"); err == nil || !strings.Contains(err.Error(), "did you mean 'standalone.pg.maxConnections'") {
		t.Errorf("error %v", err)
	}
	for _, k := range config.Keys() { // what the reference says of variables is true
		value := "1"
		switch {
		case k.Type == "object" || strings.Contains(k.Name(), ".NAME") && !strings.HasPrefix(k.Name(), "plugins.NAME."):
			continue
		case k.Type == "boolean":
			value = "true"
		}
		_, _, err := config.Parse("c.json", []byte(small), config.WithEnvironment([]string{k.Variable() + "=" + value}))
		if err != nil && strings.Contains(err.Error(), "names no key") {
			t.Errorf("%s: %v", k.Variable(), err)
		}
	}
}
