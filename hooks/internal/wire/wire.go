// Package wire is the contract between moray and its plugins: hook.proto and what is generated from it.
package wire

//go:generate sh -c "PATH=$(go env GOPATH)/bin:$PATH && d=$(mktemp -d) && go build -o $d google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc && PATH=$d:$PATH protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative hook.proto; rm -r $d"
