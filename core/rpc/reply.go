package rpc

import (
	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fault"
)

// reply turns a fault into what the client sees. Any other error stays as it is: the client learns only that something went
// wrong, and the log says what.
func reply(err error) error {
	if err == nil {
		return nil
	}
	f := fault.From(err)
	if f == nil {
		return err
	}
	return &fast.Error{Name: string(f.Name), Message: f.Message, Context: f.Context, Members: f.Members}
}
