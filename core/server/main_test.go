package server_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/kaizengarden/moray/core/cluster/zktest"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(services{m}) }

// services are PostgreSQL and ZooKeeper around the tests.
type services struct{ m *testing.M }

func (s services) Run() int {
	return pgtest.Run(func() int { return zktest.Run(s.m.Run) })
}
