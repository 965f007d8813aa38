// Command conformance runs the cases of conformance.json against a live kernel. It prints one line of JSON for each
// and exits with 1 when one fails.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"

	"aios/internal/kernel"
)

// world is what every case works with.
type world struct {
	conn  *grpc.ClientConn
	admin string
	agent string
	token string
}

var cases = map[string]func(context.Context, *world) error{
	"unary":            unary,
	"stream":           stream,
	"cancel":           cancelled,
	"deadline":         deadline,
	"error_details":    errorDetails,
	"paging":           paging,
	"idempotent_retry": idempotentRetry,
	"big_message":      bigMessage,
	"unicode":          unicodeText,
	"tool_provider":    toolProvider,
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: conformance CONFORMANCE.json")
		os.Exit(2)
	}
	failed, err := run(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

func run(path string) (bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	var listed struct{ Cases []struct{ ID string } }
	if err := json.Unmarshal(text, &listed); err != nil {
		return false, err
	}
	admin, err := kernel.AdminToken()
	if err != nil {
		return false, err
	}
	conn, err := kernel.Dial()
	if err != nil {
		return false, err
	}
	defer conn.Close()
	failed := false
	for _, each := range listed.Cases {
		detail := ""
		if err := try(conn, admin, each.ID); err != nil {
			detail, failed = err.Error(), true
		}
		line, err := json.Marshal(map[string]any{"case": each.ID, "ok": detail == "", "detail": detail})
		if err != nil {
			return false, err
		}
		fmt.Println(string(line))
	}
	return failed, nil
}

// try runs one case with an agent of its own.
func try(conn *grpc.ClientConn, admin, id string) error {
	work, known := cases[id]
	if !known {
		return fmt.Errorf("this program has no such case")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	agent, token, err := kernel.Register(ctx, conn, admin, "conformance")
	if err != nil {
		return err
	}
	return work(ctx, &world{conn: conn, admin: admin, agent: agent, token: token})
}
