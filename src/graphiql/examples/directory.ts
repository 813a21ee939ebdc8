/** Who there is. */
import type { Example } from '../examples.ts'

export const directoryExamples: Example[] = [
  {
    title: '录入人员，逐行告知问题 · Put users; each wrong row is told',
    viewer: 'admin',
    query: `mutation PutUsers($rows: [UserRowInput!]!) {
  upsertUsers(rows: $rows) {
    created
    changed
    unchanged
    refused
    problems {
      line
      code
      isRefused
      path
      zh
      en
    }
  }
}`,
    variables: {
      rows: [
        { code: 'USER045', name: '新来', phone: '0086 199 0000 0045', depts: ['DEPT011'], posts: ['POST004'] },
        { code: 'USER046', name: '写错', phone: '12345' },
        { code: 'USER047', name: '同号', phone: '19900000005' },
      ],
    },
  },
  {
    title: '录入部门 · Put departments',
    viewer: 'admin',
    query: `mutation PutDepartments {
  upsertDepartments(rows: [{ code: "DEPT013", name: "消化内科", parentCode: "DEPT001" }]) {
    created
    changed
    problems {
      line
      zh
      en
    }
  }
}`,
  },
  {
    title: '录入岗位 · Put posts',
    viewer: 'admin',
    query: `mutation PutPosts {
  upsertPosts(rows: [{ code: "POST009", name: "实习医师" }]) {
    created
    changed
  }
}`,
  },
  {
    title: '录入角色 · Put roles',
    viewer: 'admin',
    query: `mutation PutRoles {
  upsertRoles(rows: [{ code: "ROLE005", name: "夜班护士" }]) {
    created
    changed
  }
}`,
  },
  {
    title: '停用人员 · Disable somebody',
    viewer: 'admin',
    query: `mutation DisableUser {
  setUserEnabled(code: "USER043", enabled: false) {
    isChanged
  }
}`,
  },
  {
    title: '停用组 · Disable a group',
    viewer: 'admin',
    query: `mutation DisableGroup {
  setGroupEnabled(kind: POST, code: "POST007", enabled: false) {
    isChanged
  }
}`,
  },
  {
    title: '加入组 · Add to a group',
    viewer: 'admin',
    query: `mutation JoinGroup {
  addToGroup(kind: ROLE, group: "ROLE001", users: ["USER011", "USER012"]) {
    changed
  }
}`,
  },
  {
    title: '离开组 · Take out of a group',
    viewer: 'admin',
    query: `mutation LeaveGroup {
  removeFromGroup(kind: ROLE, group: "ROLE002", users: ["USER012"]) {
    changed
  }
}`,
  },
  {
    title:
      '全量同步：开始、分批、完成；未出现的将停用 · A full sync: begin, batches, finish; what it does not name is disabled',
    viewer: 'admin',
    query: `mutation FullSync($run: String!, $rows: [GroupRowInput!]!) {
  beginSync(run: $run, covers: [ROLE]) {
    state
    batches
  }
  upsertRoles(rows: $rows, run: $run) {
    created
    changed
    unchanged
    refused
  }
  finishSync(run: $run, confirm: true) {
    state
    disabled
  }
}`,
    variables: {
      run: 'night-1',
      rows: [
        { code: 'ROLE001', name: '值班医生' },
        { code: 'ROLE002', name: '危急值接收人' },
        { code: 'ROLE003', name: '系统管理员' },
      ],
    },
  },
  {
    title: '放弃同步：不停用任何人 · Give a sync up: nobody is disabled',
    viewer: 'admin',
    query: `mutation AbandonSync($run: String!) {
  beginSync(run: $run) {
    state
  }
  abandonSync(run: $run) {
    state
  }
}`,
    variables: { run: 'night-2' },
  },
  {
    title: '查找人员 · Find users, of a department and those below it',
    viewer: 'admin',
    query: `query Users($filter: UserFilter, $after: String) {
  users(filter: $filter, first: 20, after: $after) {
    edges {
      node {
        code
        name
        phone
        email
        enabled
        groups {
          kind
          code
          name
        }
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}`,
    variables: { filter: { search: '李', enabled: true, group: { kind: 'DEPT', code: 'DEPT001', withBelow: true } } },
  },
  {
    title: '部门树的一层 · One level of the tree of departments',
    viewer: 'admin',
    query: `query Departments($below: String) {
  groups(kind: DEPT, filter: { parentCode: $below }, first: 100) {
    edges {
      node {
        code
        name
        enabled
        members
      }
    }
  }
}`,
    variables: { below: 'HOSP001' },
  },
]
