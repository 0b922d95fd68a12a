// Makes the body of a page that takes a while, such as /metrics, in a thread of its own, so that
// whoever serves connections never waits for it. Requests that come while one body is being made
// all get the next one: any number of clients costs the work of one.
//
// Not for: connections (http_server.h).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace starling {

class PageMaker {
 public:
  using Make = std::function<std::string()>;
  struct Made {
    uint64_t number = 0;                           // counts from 1
    std::shared_ptr<const std::string> body = {};  // null: there was no memory for it
  };

  PageMaker();
  ~PageMaker();
  PageMaker(const PageMaker&) = delete;
  PageMaker& operator=(const PageMaker&) = delete;

  void Start();
  int done_fd() const { return done_fd_; }  // an eventfd, readable when a body is made

  // Has a body made that is no older than this call, and returns its number.
  uint64_t Ask(Make make);
  Made last() const;

 private:
  void Run();

  const int done_fd_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Make make_;            // of the latest request
  uint64_t begun_ = 0;   // number of the body that is being made, or was made last
  uint64_t wanted_ = 0;  // the highest number that Ask has returned
  Made made_;            //
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace starling
