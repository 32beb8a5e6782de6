package bucket

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/field/coerce"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Trigger is an element of a definition's list pre or post: a hook of a plugin, and how the bucket binds it.
//
// Clients write it as the text of a JavaScript function, which is a hook of the plugin [JavaScript], or as an object
//
//	{"plugin": "audit", "hook": "record", "config": {"into": "log"}, "timeout": 500, "onError": "ignore"}
//
// with a timeout in ms. Stored, and to stock clients, such an object is a function too, which holds the object in a comment
// and fails: an original server that shares the database refuses a put instead of going without the hook.
type Trigger struct {
	Plugin, Hook string
	// Config is what the bucket's owner tells the hook, a JSON text; nil for nothing.
	Config jsvalue.Value
	// Timeout is how long the hook may take; 0 is the plugin's default.
	Timeout time.Duration
	// Ignore says that a failure of the hook does not fail the request. It is for post only.
	Ignore bool
	// Source says that the element is the text of a function; Config is that text as a JSON string.
	Source bool
}

// JavaScript is the plugin that runs triggers which are JavaScript functions, and Function its hook for them.
const (
	JavaScript = "js"
	Function   = "trigger"
)

// NotCompiled is the message of the fault NotFunction for a text that is no JavaScript expression. Other than the messages
// about what a text evaluates to, it comes before the check of the bucket's name.
const NotCompiled = "trigger not function must be [Function]"

// Triggers checks the triggers of a definition. It is safe for concurrent use.
type Triggers interface {
	// Check looks at the triggers that the bucket called name is to have, and may replace what they are configured with. The
	// fault is NotFunction for JavaScript that is no function, InvalidBucketConfig for a hook or a configuration that no
	// plugin accepts, or what the plugin answers.
	Check(ctx context.Context, name string, post, pre []Trigger) error
}

// The form of a stored binding.
const (
	bindingHead = `function (req, cb) { /* moray-hook v1 `
	bindingTail = ` */ cb(new Error("hook %s/%s needs a server with plugins")); }`
)

// hookName is what plugins and hooks are called.
var hookName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// IsHookName reports whether a plugin or a hook can have the name.
func IsHookName(name string) bool { return hookName.MatchString(name) }

// Text returns the trigger as it is stored and sent to clients.
func (t *Trigger) Text() string {
	if t.Source {
		return t.Config.Text()
	}
	return bindingHead + strings.ReplaceAll(string(t.Binding()), `*/`, `*\/`) + fmt.Sprintf(bindingTail, t.Plugin, t.Hook)
}

// Binding returns the object that says how a hook is bound, as clients may write it.
func (t *Trigger) Binding() jsvalue.Value {
	v := jsvalue.AppendString([]byte(`{"plugin":`), t.Plugin)
	v = jsvalue.AppendString(append(v, `,"hook":`...), t.Hook)
	if t.Config != nil {
		v = append(append(v, `,"config":`...), t.Config...)
	}
	if t.Timeout != 0 {
		v = strconv.AppendInt(append(v, `,"timeout":`...), t.Timeout.Milliseconds(), 10)
	}
	if t.Ignore {
		v = append(v, `,"onError":"ignore"`...)
	}
	return append(v, '}')
}

// parseTrigger reads a stored trigger.
func parseTrigger(text string) (Trigger, error) {
	if !strings.HasPrefix(text, bindingHead) {
		return Trigger{Plugin: JavaScript, Hook: Function, Config: jsvalue.AppendString(nil, text), Source: true}, nil
	}
	object, _, ok := strings.Cut(text[len(bindingHead):], " */ ")
	if !ok {
		return Trigger{}, fmt.Errorf("%.60s… is no binding of a hook", text)
	}
	v, err := jsvalue.Parse([]byte(object))
	if err != nil {
		return Trigger{}, fmt.Errorf("binding of a hook: %w", err)
	}
	t, problem := parseBinding(v)
	if problem != "" {
		return Trigger{}, fmt.Errorf("binding of a hook: %s", problem)
	}
	if t.Text() != text {
		return Trigger{}, fmt.Errorf("%.60s… is no binding of a hook", text)
	}
	return t, nil
}

// maxTimeout bounds how long a hook may hold its transaction.
const maxTimeout = 5 * time.Minute

// parseBinding reads the object that binds a hook. The problem begins with the member that it is about, or is empty.
func parseBinding(v jsvalue.Value) (t Trigger, problem string) {
	o, err := jsvalue.ParseObject(v)
	if err != nil {
		return t, " should be object"
	}
	for i := range o.Len() {
		switch name, m := o.At(i); name {
		case "plugin", "hook":
			if m.Kind() != jsvalue.KindString || !IsHookName(m.Text()) {
				return t, "." + name + " should be the name of a " + name
			}
			if name == "plugin" {
				t.Plugin = m.Text()
			} else {
				t.Hook = m.Text()
			}
		case "config":
			t.Config = jsvalue.Sanitize(jsvalue.AppendPrinted(nil, m))
		case "timeout":
			ms := m.Float()
			if m.Kind() != jsvalue.KindNumber || ms < 1 || ms > float64(maxTimeout.Milliseconds()) || ms != float64(int64(ms)) {
				return t, fmt.Sprintf(".timeout should be a number of ms from 1 to %d", maxTimeout.Milliseconds())
			}
			t.Timeout = time.Duration(ms) * time.Millisecond
		case "onError":
			if m.Kind() != jsvalue.KindString || m.Text() != "fail" && m.Text() != "ignore" {
				return t, `.onError should be "fail" or "ignore"`
			}
			t.Ignore = m.Text() == "ignore"
		default:
			return t, " should NOT have additional properties ('" + name + "')"
		}
	}
	switch {
	case t.Plugin == "":
		return t, " should have required property 'plugin'"
	case t.Hook == "":
		return t, " should have required property 'hook'"
	}
	return t, ""
}

// ParseTriggers reads a stored list of triggers, a JSON array.
func ParseTriggers(text []byte) ([]Trigger, error) {
	v, err := jsvalue.Parse(text)
	if err != nil {
		return nil, err
	}
	if v.Kind() != jsvalue.KindArray {
		return nil, fmt.Errorf("%.20s is not an array", text)
	}
	var triggers []Trigger
	for e := range v.Elements() {
		if e.Kind() != jsvalue.KindString {
			return nil, fmt.Errorf("%.20s is not a string", e)
		}
		t, err := parseTrigger(e.Text())
		if err != nil {
			return nil, err
		}
		triggers = append(triggers, t)
	}
	return triggers, nil
}

// requested reads a list of triggers as a client sends it. What is neither a text nor a binding is evaluated as the text that
// JavaScript makes of it.
func requested(list jsvalue.Value, name string) ([]Trigger, error) {
	var triggers []Trigger
	for e := range list.Elements() {
		var t Trigger
		var err error
		switch {
		case e.Kind() == jsvalue.KindObject && e.Member("plugin") != nil:
			var problem string
			if t, problem = parseBinding(e); problem != "" {
				return nil, fault.New(fault.InvalidBucketConfig, "bucket.%s[%d]%s", name, len(triggers), problem)
			}
		case e.Kind() == jsvalue.KindString:
			if t, err = parseTrigger(e.Text()); err != nil {
				return nil, fault.New(fault.NotFunction, "%s", NotCompiled).Because(err)
			}
		default:
			t = Trigger{Plugin: JavaScript, Hook: Function, Config: jsvalue.AppendString(nil, coerce.AppendString(nil, e)), Source: true}
		}
		if t.Ignore && name == "pre" {
			return nil, fault.New(fault.InvalidBucketConfig, `bucket.pre[%d].onError should be "fail": only post hooks can be ignored`, len(triggers))
		}
		triggers = append(triggers, t)
	}
	return triggers, nil
}

// texts returns the JSON array of triggers as it is stored.
func texts(triggers []Trigger) []byte {
	list := []byte{'['}
	for i := range triggers {
		if i > 0 {
			list = append(list, ',')
		}
		list = jsvalue.AppendString(list, triggers[i].Text())
	}
	return append(list, ']')
}
