package js

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dop251/goja"
)

// params returns the elements of an array as the parameters of a statement: strings, or nil for NULL.
func (e *engine) params(list *goja.Object) ([]any, error) {
	n := list.Get("length").ToInteger()
	if n > maxParams {
		return nil, fmt.Errorf("a statement has at most %d parameters, not %d", maxParams, n)
	}
	params := make([]any, n)
	for i := range params {
		text, ok, err := e.param(list.Get(strconv.Itoa(i)))
		if err != nil {
			return nil, err
		}
		if ok {
			params[i] = text
		}
	}
	return params, nil
}

// maxParams is how many parameters PostgreSQL takes.
const maxParams = 65535

// param returns the text for a value; ok is false for NULL.
func (e *engine) param(v goja.Value) (text string, ok bool, err error) {
	if v == nil || goja.IsUndefined(v) || goja.IsNull(v) {
		return "", false, nil
	}
	o, isObject := v.(*goja.Object)
	switch {
	case !isObject:
		return v.String(), true, nil
	case o.ClassName() == "Array":
		b, err := e.appendArray(nil, o, 0)
		return string(b), true, err
	case o.ClassName() == "Function":
		return o.String(), true, nil
	case o.Prototype() == e.rowDate:
		return localText(o)
	}
	return e.json(o)
}

// localText writes a date of a result as the driver of the original does: in the zone of the process.
func localText(o *goja.Object) (string, bool, error) {
	t, ok := o.Export().(time.Time)
	if !ok {
		return "", false, fmt.Errorf("%v is not a date", o)
	}
	return t.Local().Format("2006-01-02T15:04:05.000-07:00"), true, nil
}

// maxNested is how deep arrays in parameters may be in each other, which is more than PostgreSQL takes.
const maxNested = 10

// appendArray appends an array as PostgreSQL reads it.
func (e *engine) appendArray(dst []byte, list *goja.Object, depth int) ([]byte, error) {
	if depth == maxNested {
		return nil, errors.New("an array is nested too deep for a parameter")
	}
	dst = append(dst, '{')
	n := list.Get("length").ToInteger()
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		element := list.Get(strconv.FormatInt(i, 10))
		if inner, ok := element.(*goja.Object); ok && inner.ClassName() == "Array" {
			var err error
			if dst, err = e.appendArray(dst, inner, depth+1); err != nil {
				return nil, err
			}
			continue
		}
		text, ok, err := e.param(element)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			dst = append(dst, "NULL"...)
		default:
			dst = append(append(append(dst, '"'), quoter.Replace(text)...), '"')
		}
	}
	return append(dst, '}'), nil
}

var quoter = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
