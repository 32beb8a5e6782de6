package js

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"

	"github.com/dop251/goja"

	"github.com/kaizengarden/moray/hooks/sdk"
)

// levels are bunyan's, by what req.log calls them.
var levels = map[string]slog.Level{
	"trace": sdk.LevelTrace, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn,
	"error": slog.LevelError, "fatal": sdk.LevelFatal,
}

// Bounds of what a trigger may log.
const (
	maxLines   = 1000     // an event
	maxMessage = 16 << 10 // bytes
	maxFields  = 64 << 10 // bytes of JSON
)

// write is what prelude.js calls for req.log: level, and if there is something to be logged, message and fields as JSON. It says
// whether the level is logged at all.
func (r *request) write(args goja.FunctionCall) goja.Value {
	vm, ctx := r.engine.vm, context.Background()
	level := levels[args.Argument(0).String()]
	if r.call == nil {
		return vm.ToValue(false)
	}
	log := r.call.event.Log
	enabled := r.lines <= maxLines && log.Enabled(ctx, level)
	if goja.IsUndefined(args.Argument(1)) || !enabled {
		return vm.ToValue(enabled)
	}
	if r.lines++; r.lines > maxLines {
		log.Warn("the trigger logs too much: the rest is left out", "lines", maxLines)
		return vm.ToValue(false)
	}
	log.LogAttrs(ctx, level, cut(args.Argument(1).String()), attributes(args.Argument(2))...)
	return vm.ToValue(true)
}

func cut(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "") + "…"
}

// attributes returns the fields of a line, in their order.
func attributes(v goja.Value) []slog.Attr {
	if !goja.IsString(v) {
		return nil
	}
	text := v.String()
	if len(text) > maxFields {
		return []slog.Attr{slog.Int("fields_left_out", len(text))}
	}
	var all []slog.Attr
	d := json.NewDecoder(strings.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			break
		}
		if name, ok := name.(string); ok {
			all = append(all, slog.Any(name, plain(value)))
		}
	}
	return all
}

// plain returns a text or a number as such, and other values as they are.
func plain(value json.RawMessage) any {
	switch value[0] {
	case '{', '[':
		return value
	}
	var v any
	if json.Unmarshal(value, &v) != nil {
		return value
	}
	return v
}
