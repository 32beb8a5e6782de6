package cluster

import (
	"testing"

	"github.com/kaizengarden/moray/core/cluster/zktest"
)

func TestMain(m *testing.M) { zktest.Main(m) }
