package rpc

import "github.com/kaizengarden/moray/core/fault"

// getTokens [options]: always fails. Only a router over several shards has tokens.
func getTokens(*call) error { return fault.New(fault.Generic, "Operation not supported") }
