package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/kaizengarden/moray/core/fault"
)

func TestError(t *testing.T) {
	t.Parallel()
	cause := io.ErrUnexpectedEOF
	e := fault.New(fault.EtagConflict, "%s::%s differs", "b", "k").With("bucket", "b", "key", `k"`).Because(cause)
	err := fmt.Errorf("put: %w", e)

	if got, want := err.Error(), "put: EtagConflictError: b::k differs"; got != want {
		t.Errorf("error text %q, want %q", got, want)
	}
	if got, want := string(e.Context), `{"bucket":"b","key":"k\""}`; got != want {
		t.Errorf("context %s, want %s", got, want)
	}
	if !errors.Is(err, fault.EtagConflict) || errors.Is(err, fault.ObjectNotFound) || !errors.Is(err, cause) {
		t.Error("errors.Is must find the name and the cause, and no other name")
	}
	if fault.From(err) != e || fault.From(cause) != nil {
		t.Error("From must find the fault in the chain, and none where there is none")
	}
	if got := fault.EtagConflict.Error(); got != "EtagConflictError" {
		t.Errorf("name %q", got)
	}
	if got := string(fault.New(fault.Generic, "x").With().Context); got != "{}" {
		t.Errorf("empty context %s", got)
	}
}
