// Checks that every micro-benchmark runs one iteration without an error. It measures no
// time.
#include <benchmark/benchmark.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace starling {
namespace {

class Collector : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      ++runs_;
      EXPECT_FALSE(run.error_occurred) << run.benchmark_name() << ": " << run.error_message;
      EXPECT_GT(run.iterations, 0) << run.benchmark_name();
    }
  }
  size_t runs() const { return runs_; }

 private:
  size_t runs_ = 0;
};

TEST(MicroBenchmarks, RunOnce) {
  std::string arguments[] = {"bench_smoke_test", "--benchmark_min_time=0"};
  char* argv[] = {arguments[0].data(), arguments[1].data(), nullptr};
  int argc = 2;
  benchmark::Initialize(&argc, argv);
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector);
  // Expects at least the benchmarks of one file: everything else would pass with an empty
  // registry.
  EXPECT_GE(collector.runs(), 20u);
}

}  // namespace
}  // namespace starling
