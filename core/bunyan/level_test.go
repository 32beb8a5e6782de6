package bunyan_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/bunyan"
)

func TestLevel(t *testing.T) {
	t.Parallel()
	var level bunyan.Level
	var out bytes.Buffer
	log := slog.New(bunyan.NewHandler(bunyan.Lines(&out), bunyan.Options{Name: "moray", Level: &level}))
	written := func() bool {
		out.Reset()
		log.Debug("x")
		return out.Len() > 0
	}
	if level.String() != "info" || written() {
		t.Errorf("at first the level is %s", &level)
	}
	level.More()
	if level.String() != "debug" || !written() {
		t.Errorf("the level is %s after More", &level)
	}
	for range 10 {
		level.More()
	}
	if level.String() != "trace" {
		t.Errorf("the lowest level is %s", &level)
	}
	for range 10 {
		level.Less()
	}
	if level.String() != "fatal" || written() {
		t.Errorf("the highest level is %s", &level)
	}
	if err := level.Set("Warn"); err != nil || level.String() != "warn" {
		t.Errorf("set to %s, error %v", &level, err)
	}
	if err := level.Set("loud"); err == nil || !strings.Contains(err.Error(), `"loud"`) || level.String() != "warn" {
		t.Errorf("error %v, level %s", err, &level)
	}
}
