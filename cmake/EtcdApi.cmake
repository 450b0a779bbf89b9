# signalbox_etcd_api: etcd's own interface, from the protobuf files that the npm package `etcd3` carries. Their
# annotations for an HTTP gateway refer to files that are not with them, and nothing here needs them.
set(etcd_protos ${PROJECT_SOURCE_DIR}/node_modules/etcd3/proto)
if(NOT EXISTS ${etcd_protos}/rpc.proto)
  message(FATAL_ERROR "${etcd_protos}/rpc.proto is missing: run scripts/setup, which installs the npm packages")
endif()

set(etcd_generated ${PROJECT_BINARY_DIR}/etcd_api)
file(MAKE_DIRECTORY ${etcd_generated}/etcd)
find_program(grpc_cpp_plugin grpc_cpp_plugin REQUIRED)

set(etcd_sources "")
set(etcd_copies "")
foreach(stem auth kv rpc)
  add_custom_command(
    OUTPUT ${etcd_generated}/etcd/${stem}.proto
    COMMAND sed -e "/option (google.api.http)/,/};/d" -e "s|import \"./|import \"etcd/|" ${etcd_protos}/${stem}.proto
            > ${etcd_generated}/etcd/${stem}.proto
    DEPENDS ${etcd_protos}/${stem}.proto VERBATIM)
  list(APPEND etcd_copies ${etcd_generated}/etcd/${stem}.proto)
endforeach()
foreach(stem auth kv rpc)
  add_custom_command(
    OUTPUT ${etcd_generated}/etcd/${stem}.pb.cc ${etcd_generated}/etcd/${stem}.pb.h
    COMMAND protobuf::protoc -I ${etcd_generated} --cpp_out ${etcd_generated} etcd/${stem}.proto
    DEPENDS ${etcd_copies} VERBATIM)
  list(APPEND etcd_sources ${etcd_generated}/etcd/${stem}.pb.cc)
endforeach()
add_custom_command(
  OUTPUT ${etcd_generated}/etcd/rpc.grpc.pb.cc ${etcd_generated}/etcd/rpc.grpc.pb.h
  COMMAND protobuf::protoc -I ${etcd_generated} --grpc_out ${etcd_generated}
          --plugin=protoc-gen-grpc=${grpc_cpp_plugin} etcd/rpc.proto
  DEPENDS ${etcd_copies} VERBATIM)
list(APPEND etcd_sources ${etcd_generated}/etcd/rpc.grpc.pb.cc)

add_library(signalbox_etcd_api STATIC ${etcd_sources})
target_include_directories(signalbox_etcd_api SYSTEM PUBLIC ${etcd_generated})
target_link_libraries(signalbox_etcd_api PUBLIC protobuf::libprotobuf gRPC::grpc++)
